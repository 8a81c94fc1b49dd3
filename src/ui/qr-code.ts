import { encode } from 'uqr';
import { svg } from './dom.ts';

/** White modules around the code; scanners want four, most of all on a dark page. */
const QUIET_ZONE = 4;

/** Draws `text` as a QR code: always dark on white, since many scanners cannot read the inverse. */
export function qrCode(text: string): SVGSVGElement {
  const { size, data } = encode(text, { ecc: 'M', border: QUIET_ZONE });
  let path = '';
  data.forEach((row, y) =>
    row.forEach((dark, x) => {
      if (dark) path += `M${x} ${y}h1v1h-1z`;
    }),
  );
  return svg(
    'svg',
    { viewBox: `0 0 ${size} ${size}`, class: 'qr', role: 'img', 'aria-label': 'The invitation as a QR code', 'shape-rendering': 'crispEdges' },
    svg('rect', { width: String(size), height: String(size), fill: '#fff' }),
    svg('path', { d: path, fill: '#000' }),
  );
}
