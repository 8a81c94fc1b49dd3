import type { Attack } from '../attack.ts';

export const foreignHost: Attack = {
  name: 'foreign-host',
  title: 'lets its own name lead to the server (DNS rebinding)',
  resisted: true,
  async run({ server, stranger, open }) {
    const host = `evil.example:${server.port}`;
    const page = await stranger.ask('/', { headers: { host } });
    const relay = await stranger.socket('/relay/host', open, { host, origin: `http://${host}` });
    const signalling = await stranger.socket('/peerjs/peerjs?key=peerjs&id=evil&token=evil', open, { host, origin: `http://${host}` });
    const refused = page.status >= 400 && typeof relay === 'number' && typeof signalling === 'number';
    const shown = (socket: unknown): string => (typeof socket === 'number' ? String(socket) : 'open');
    return [{ claim: 'page, relay and signalling refuse it', holds: refused, figures: `${page.status}, ${shown(relay)}, ${shown(signalling)}` }];
  },
};
