import { describe, expect, it } from 'vitest';
import { DEFAULT_PORT, OptionError, parseOptions, type ServerOptions } from './options.ts';

function options(...args: string[]): ServerOptions {
  const parsed = parseOptions(args);
  if (parsed.kind !== 'run') throw new Error('help was asked for');
  return parsed.options;
}

describe("the server's command line", () => {
  it('listens for this machine only, on the default port, unless told otherwise', () => {
    expect(options()).toMatchObject({
      port: DEFAULT_PORT,
      host: '127.0.0.1',
      pingMs: 100,
      outbound: null,
      tap: null,
      tls: null,
      dev: false,
      guestUrl: null,
      forwards: [],
    });
  });

  it('takes a value after a space or an equals sign', () => {
    expect(options('--port', '0', '--ping-ms=10')).toMatchObject({ port: 0, pingMs: 10 });
  });

  it('takes two files for --tls', () => {
    expect(options('--tap', 'tabmotion0').tap).toBe('tabmotion0');
    expect(options('--tls', 'a.pem', 'b.pem', '--dev').tls).toEqual({ certFile: 'a.pem', keyFile: 'b.pem' });
    expect(() => options('--tls', 'a.pem')).toThrow('--tls needs the key file after it.');
  });

  it("takes the operator's key from the command line or the environment, long enough and without showing a wrong one", () => {
    const key = 'operator-key-0123456789';
    expect([options().operatorKey, options('--operator-key', key).operatorKey]).toEqual([null, key]);
    expect(parseOptions([], { TABMOTION_OPERATOR_KEY: key })).toMatchObject({ options: { operatorKey: key } });
    expect(() => options('--operator-key', 'short')).toThrow(/^--operator-key takes 16 to 64 letters, digits, _ or -\.$/);
  });

  it('says as much on its terminal as it is told to', () => {
    expect([options().log, options('--log', 'trace').log, options('--log=error').log]).toEqual(['info', 'trace', 'error']);
    expect(() => options('--log', 'loud')).toThrow('--log takes error, info, trace, not "loud".');
  });

  it('collects the names it may be reached by, in the form browsers send', () => {
    expect(options().allowedHosts).toEqual([]);
    expect(options('--allowed-origin', 'https://tabmotion.example').allowedOrigins).toEqual(['https://tabmotion.example']);
    expect(options('--allowed-host', 'Tabmotion.Example', '--allowed-host=bücher.example').allowedHosts).toEqual([
      'tabmotion.example',
      'xn--bcher-kva.example',
    ]);
  });

  it('is public only with a certificate of its own or a proxy that has one, and takes the code for new rooms', () => {
    expect(options()).toMatchObject({ public: false, openCode: null });
    expect(() => options('--public')).toThrow('--public needs --tls');
    expect(options('--public', '--behind-proxy', '--open-code=lecture-2027')).toMatchObject({ public: true, openCode: 'lecture-2027' });
    expect(options('--public', '--tls', 'a.pem', 'b.pem')).toMatchObject({ public: true, openCode: null });
    expect(() => options('--open-code', 'abc')).toThrow('--open-code takes 6 to 64');
  });

  it('counts by what a proxy says only if one is declared', () => {
    expect([options().behindProxy, options('--behind-proxy').behindProxy]).toEqual([false, true]);
  });

  it('collects forwards and refuses a host port that is named twice', () => {
    expect(options('--forward', '8080:web:80', '--forward', '8022:seminar/web:22').forwards).toEqual([
      { hostPort: 8080, room: 'default', vm: 'web', guestPort: 80 },
      { hostPort: 8022, room: 'seminar', vm: 'web', guestPort: 22 },
    ]);
    expect(() => options('--forward', '8080:a:80', '--forward', '8080:b:80')).toThrow('twice');
    expect(() => options('--forward', '8080:80')).toThrow('HOSTPORT:VM:GUESTPORT');
  });

  it('keeps guests inside unless --outbound or a list of destinations is given', () => {
    expect(options('--outbound').outbound).toEqual([]);
    expect(options('--outbound-to', '*:443, udp:192.0.2.7:53').outbound).toEqual(['*:443', 'udp:192.0.2.7:53']);
    expect(() => options('--outbound-to', 'a b')).toThrow(OptionError);
    expect(() => options('--outbound-to', '')).toThrow('--outbound-to');
    expect([
      options('--outbound').outboundRooms,
      options('--outbound', '--outbound-rooms', 'default, seminar').outboundRooms,
      options('--outbound', '--outbound-rooms=*').outboundRooms,
    ]).toEqual([['default'], ['default', 'seminar'], 'all']);
    expect(() => options('--outbound', '--outbound-rooms', 'a b')).toThrow('--outbound-rooms takes names');
    expect(() => options('--outbound-rooms', '*')).toThrow('needs --outbound');
    expect(() => options('--outbound=yes')).toThrow('takes no value');
  });

  it.each([
    ['--port', '70000'],
    ['--port', '-1'],
    ['--port', '8e3'],
    ['--port', ''],
    ['--ping-ms', '1'],
    ['--guest-url', 'ftp://example.org'],
    ['--guest-url', 'guest'],
    ['--host', ' '],
    ['--allowed-host', 'https://tabmotion.example'],
    ['--allowed-host', 'tabmotion.example:443'],
    ['--allowed-origin', 'tabmotion.example'],
    ['--allowed-origin', 'https://tabmotion.example/page'],
    ['--allowed-origin', 'ftp://tabmotion.example'],
    ['--allowed-host', '*'],
    ['--allowed-host', ''],
    ['--tap', 'a name with blanks'],
    ['--tap', 'longer-than-fifteen'],
  ])('refuses %s %s with a sentence that names the option', (name, value) => {
    expect(() => options(name, value)).toThrow(OptionError);
    expect(() => options(name, value)).toThrow(name);
  });

  it('refuses what it does not know, and says where the list is', () => {
    expect(() => options('--prot', '80')).toThrow('There is no option "--prot". `npm start -- --help` lists them all.');
    expect(() => options('8080')).toThrow(OptionError);
  });

  it('reads the guest address from the environment, and prefers the command line', () => {
    const environment = { TABMOTION_GUEST_URL: 'http://one.example/guest' };
    expect(parseOptions([], environment)).toMatchObject({ options: { guestUrl: 'http://one.example/guest' } });
    expect(parseOptions(['--guest-url', 'http://two.example/'], environment)).toMatchObject({ options: { guestUrl: 'http://two.example/' } });
    expect(() => parseOptions([], { TABMOTION_GUEST_URL: 'nowhere' })).toThrow('TABMOTION_GUEST_URL');
  });

  it('asks for nothing else when help is wanted', () => {
    expect(parseOptions(['--help'])).toEqual({ kind: 'help' });
  });
});
