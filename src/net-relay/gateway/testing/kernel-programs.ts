/** Small programs that run inside the kernel's namespace, on plain Node, and use nothing but the kernel's own network. */

/** Listens on argv[1]; echoes what it gets and ends when the other side ends. */
export const ECHO_SERVER = `
  require('node:net').createServer({ allowHalfOpen: true }, (s) => { s.on('error', () => {}); s.pipe(s); })
    .listen(+process.argv[1], '0.0.0.0', 600, () => console.log('ready'));`;

/** Listens on argv[1]; sends argv[2] bytes of the noise of seed argv[3], then ends. */
export const SOURCE_SERVER = `
  const size = +process.argv[2]; const words = new Uint32Array(Math.ceil(size / 4)); let s = (+process.argv[3] * 2654435761 + 1) >>> 0;
  for (let i = 0; i < words.length; i++) { s ^= s << 13; s ^= s >>> 17; s = (s ^ (s << 5)) >>> 0; words[i] = s; }
  require('node:net').createServer((c) => { c.on('error', () => {}); c.end(new Uint8Array(words.buffer, 0, size)); })
    .listen(+process.argv[1], '0.0.0.0', 600, () => console.log('ready'));`;

/** Listens on argv[1]; takes everything until the other side ends, then answers with its length and SHA-256, and ends. */
export const SINK_SERVER = `
  require('node:net').createServer({ allowHalfOpen: true }, (c) => {
    const hash = require('node:crypto').createHash('sha256'); let n = 0;
    c.on('error', () => {}); c.on('data', (d) => { n += d.length; hash.update(d); });
    c.on('end', () => c.end(n + ' ' + hash.digest('hex')));
  }).listen(+process.argv[1], '0.0.0.0', 600, () => console.log('ready'));`;

/** Connects to argv[1]:argv[2], sends argv[3], prints what comes back, or the error's code. */
export const CLIENT = `
  const c = require('node:net').connect({ host: process.argv[1], port: +process.argv[2], family: 4 }, () => c.end(process.argv[3]));
  c.on('data', (d) => process.stdout.write(d)); c.on('error', (e) => { process.stdout.write(e.code); });`;

/** Asks the DNS server argv[1] for argv[2]; prints the addresses, or the error's code. */
export const RESOLVE = `
  const r = new (require('node:dns').promises.Resolver)({ timeout: 3000, tries: 1 }); r.setServers([process.argv[1]]);
  r.resolve4(process.argv[2]).then((a) => process.stdout.write(a.join(' ')), (e) => process.stdout.write(e.code));`;

/** Sends argv[3] by UDP to argv[1]:argv[2]; prints the first answer, or the error's code. */
export const UDP_CLIENT = `
  const s = require('node:dgram').createSocket('udp4'); const out = (t) => { process.stdout.write(t); s.close(); };
  s.on('message', (d) => out(d)); s.on('error', (e) => out(e.code));
  s.connect(+process.argv[2], process.argv[1], () => s.send(process.argv[3]));`;

const NOISE = `
  const noise = (seed, size) => { const words = new Uint32Array(Math.ceil(size / 4)); let s = (seed * 2654435761 + 1) >>> 0;
    for (let i = 0; i < words.length; i++) { s ^= s << 13; s ^= s >>> 17; s = (s ^ (s << 5)) >>> 0; words[i] = s; }
    return new Uint8Array(words.buffer, 0, size); };`;

/** Connects to argv[1]:argv[2], takes everything until the other side ends; prints its length and SHA-256. */
export const DOWNLOAD = `
  const hash = require('node:crypto').createHash('sha256'); let n = 0;
  const c = require('node:net').connect({ host: process.argv[1], port: +process.argv[2] });
  c.on('data', (d) => { n += d.length; hash.update(d); });
  c.on('end', () => process.stdout.write(n + ' ' + hash.digest('hex'))); c.on('error', (e) => process.stdout.write(e.code));`;

/** Connects to argv[1]:argv[2], sends argv[3] bytes of the noise of seed argv[4] and ends its half; prints what is answered. */
export const UPLOAD = `${NOISE}
  const c = require('node:net').connect({ host: process.argv[1], port: +process.argv[2], allowHalfOpen: true },
    () => c.end(noise(+process.argv[4], +process.argv[3])));
  c.on('data', (d) => process.stdout.write(d)); c.on('error', (e) => process.stdout.write(e.code));`;

/**
 * Opens argv[3] connections to argv[1]:argv[2]; once all are open, sends each its own 3000 bytes, ends, and takes the
 * echo. Prints how many were open at once and how many echoes were right.
 */
export const MANY_ECHOES = `${NOISE}
  const count = +process.argv[3]; let right = 0, over = 0, open = 0; const sockets = [];
  const finish = () => { if (++over === count) process.stdout.write('open ' + open + ' right ' + right); };
  for (let i = 0; i < count; i++) {
    const mine = Buffer.from(noise(i + 1, 3000)); const parts = [];
    const c = require('node:net').connect({ host: process.argv[1], port: +process.argv[2], allowHalfOpen: true }, () => {
      if (++open === count) for (const { c, mine } of sockets) c.end(mine);
    });
    sockets.push({ c, mine });
    c.on('data', (d) => parts.push(d)); c.on('error', () => {});
    c.on('end', () => { if (Buffer.concat(parts).equals(mine)) right++; }); c.on('close', finish);
  }`;
