import type { RequestHandler } from 'express';

/** A Host header that may stand in a policy: a name or address with an optional port, nothing that could end a directive. */
const PLAIN_HOST = /^[A-Za-z0-9.:[\]_-]{1,255}$/;

/**
 * The narrowest policy with which the page works: own scripts only (v86 compiles WebAssembly and starts workers), inline
 * styles for xterm.js, connections to this server only. 'self' does not cover ws:// in every browser, so the policy
 * names it.
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

/** Browser features that the page never uses. It keeps the clipboard and full screen; a guest has no sound and no camera. */
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
    // The room's key is in the fragment, which is never sent; other sites need not learn the room's name either.
    response.setHeader('Referrer-Policy', 'no-referrer');
    response.setHeader('Permissions-Policy', PERMISSIONS_POLICY);
    // No window of another site keeps a reference to ours. Browsers obey this header only over https and on their own
    // computer, and complain about it elsewhere. They send Sec-Fetch-Mode in just these cases, also through a proxy that
    // ends the TLS.
    if (options.secure || request.headers['sec-fetch-mode'] !== undefined) response.setHeader('Cross-Origin-Opener-Policy', 'same-origin');
    if (options.secure) response.setHeader('Strict-Transport-Security', 'max-age=86400');
    next();
  };
}
