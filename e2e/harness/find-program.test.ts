import { describe, expect, it } from 'vitest';
import { findChromium } from './find-chromium.ts';
import { findProgram } from './find-program.ts';

describe('the search for a Chromium', () => {
  it('believes CHROME_PATH first, and complains if it names no program', () => {
    expect(findChromium({ CHROME_PATH: '/opt/c', PATH: '/usr/bin' }, () => true)).toBe('/opt/c');
    expect(() => findChromium({ CHROME_PATH: '/opt/c', PATH: '/usr/bin' }, (path) => path !== '/opt/c')).toThrow('CHROME_PATH names /opt/c');
  });

  it('looks along PATH, then at the usual places', () => {
    expect(findChromium({ PATH: '/a:/b' }, (path) => path === '/b/google-chrome')).toBe('/b/google-chrome');
    expect(findChromium({}, (path) => path === '/usr/bin/chromium')).toBe('/usr/bin/chromium');
  });

  it('says how to get one when there is none', () => {
    expect(() => findChromium({ PATH: '/a' }, () => false)).toThrow('apt-get install chromium');
  });
});

describe('the search for a program', () => {
  const wanted = { variable: 'FIREFOX_PATH', names: ['firefox-esr', 'firefox'], places: ['/opt/firefox/firefox'] };

  it('prefers the first name within a folder of PATH, and finds nothing where nothing is', () => {
    expect(findProgram(wanted, { PATH: '/a:/b' }, (path) => path.startsWith('/b/'))).toBe('/b/firefox-esr');
    expect(findProgram(wanted, { PATH: '/a' }, (path) => path === '/opt/firefox/firefox')).toBe('/opt/firefox/firefox');
    expect(findProgram(wanted, { PATH: '/a', FIREFOX_PATH: '' }, () => false)).toBeNull();
  });
});
