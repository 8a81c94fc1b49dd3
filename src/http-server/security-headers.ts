import type { RequestHandler } from 'express';

/** A Host header that may stand in a policy: a name or address with an optional port, nothing that could end a directive. */
const PLAIN_HOST = /^[A-Za-z0-9.:[\]_-]{1,255}$/;

/**
 * What the page may do, as narrow as it works: own scripts only (v86 compiles WebAssembly and starts workers), inline
 * styles for xterm.js, connections to this server only. 'self' does not cover ws:// in every browser, so it is named.
 */
export function contentSecurityPolicy(host: string | undefined): string {
  const sockets = host !== undefined && PLAIN_HOST.test(host) ? ` ws://${host} wss://${host}` : '';
  return [
    "default-src 'self'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self' blob:",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    `connect-src 'self'${sockets}`,
    "object-src 'none'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'self'",
  ].join('; ');
}

/** What of the browser the page never uses. The clipboard and the full screen stay its own; a guest has no sound and no camera. */
const PERMISSIONS_POLICY = [
  'accelerometer',
  'camera',
  'display-capture',
  'encrypted-media',
  'geolocation',
  'gyroscope',
  'hid',
  'identity-credentials-get',
  'idle-detection',
  'local-fonts',
  'magnetometer',
  'microphone',
  'midi',
  'payment',
  'publickey-credentials-create',
  'publickey-credentials-get',
  'screen-wake-lock',
  'serial',
  'usb',
  'window-management',
  'xr-spatial-tracking',
]
  .map((feature) => `${feature}=()`)
  .join(', ');

export function securityHeaders(options: { readonly secure: boolean }): RequestHandler {
  return (request, response, next) => {
    response.setHeader('Content-Security-Policy', contentSecurityPolicy(request.headers.host));
    response.setHeader('X-Content-Type-Options', 'nosniff');
    // The room's key stands in the fragment, which is never sent; the room's name need not be told to others either.
    response.setHeader('Referrer-Policy', 'no-referrer');
    response.setHeader('Permissions-Policy', PERMISSIONS_POLICY);
    // No window of another site holds on to ours. Browsers heed it over https and on their own computer alone, complain
    // about it elsewhere, and send Sec-Fetch-Mode in just these cases, also through a proxy that ends the TLS.
    if (options.secure || request.headers['sec-fetch-mode'] !== undefined) response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    if (options.secure) response.setHeader('Strict-Transport-Security', 'max-age=86400');
    next();
  };
}
