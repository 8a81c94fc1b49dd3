import { describe, expect, it } from 'vitest';
import { findChromium } from './find-chromium.ts';

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
