import { describe, expect, it } from 'vitest';
import { bootArea, BOOT_AREA_BYTES, FILE_SYSTEM_BYTES, LOADER_SECTOR, SECTOR_BYTES, type BootAreaParts } from './boot-area.ts';

const setup = new Uint8Array(0x400);
setup[0x201] = 0x6a;
new DataView(setup.buffer).setUint32(0x202, 0x53726448, true);
setup[0x236] = 42;

const parts: BootAreaParts = {
  bootSector: new Uint8Array(100).fill(1),
  loader: new Uint8Array(700).fill(2),
  kernel: { entry: 0x1000040, address: 0x1000000, bytes: new Uint8Array(3000).fill(3), zeroedBytes: 500 },
  kernelSetup: setup,
  initrd: new Uint8Array(2000).fill(4),
  commandLine: 'console=ttyS0',
};

describe('the boot area', () => {
  it('has a boot sector that a BIOS boots, without touching the file system behind it', () => {
    const { sector } = bootArea(parts);
    expect(sector).toHaveLength(512);
    expect([...sector.subarray(510)]).toEqual([0x55, 0xaa]);
    expect(sector.subarray(0, 100)).toEqual(parts.bootSector);
  });

  it('has loader, boot parameters, command line and table where the loader looks for them', () => {
    const { area } = bootArea(parts);
    expect(area).toHaveLength(BOOT_AREA_BYTES);
    expect(LOADER_SECTOR * SECTOR_BYTES).toBe(FILE_SYSTEM_BYTES);
    const view = new DataView(area.buffer);
    const word = (address: number): number => view.getUint32(address - 0x8000, true);
    expect(area.subarray(0, 700)).toEqual(parts.loader);
    expect(word(0xa000 + 0x202)).toBe(0x53726448);
    expect(area[0x2000 + 0x236]).toBe(42);
    expect(word(0xa000 + 0x21c)).toBe(2000);
    expect(word(0xa000 + 0x228)).toBe(0xb000);
    expect(new TextDecoder().decode(area.subarray(0x3000, 0x300e))).toBe('console=ttyS0\0');
    expect(word(0xb404)).toBe(LOADER_SECTOR + 32);
    expect(word(0xb410)).toBe(0x1000040);
    const [kernelAt, kernelPacked, kernelTo, kernelBytes, zeroed] = [0, 4, 8, 12, 16].map((offset) => word(0xb420 + offset));
    expect([kernelTo, kernelBytes, zeroed]).toEqual([0x1000000, 3000, 500]);
    const [initrdAt, , initrdTo, initrdBytes] = [0, 4, 8, 12].map((offset) => word(0xb434 + offset));
    expect(initrdAt).toBe(kernelAt! + kernelPacked!);
    expect([initrdTo, initrdBytes]).toEqual([word(0xa000 + 0x218), 2000]);
  });

  it.each<[string, Partial<BootAreaParts>]>([
    ['boot sector', { bootSector: new Uint8Array(441) }],
    ['loader', { loader: new Uint8Array(0x2001) }],
    ['command line', { commandLine: 'x'.repeat(0x400) }],
    ['kernel', { kernel: { ...parts.kernel, zeroedBytes: 0x3000000 } }],
  ])('says so when the %s has outgrown its place', (what, change) => {
    expect(() => bootArea({ ...parts, ...change })).toThrow(`The ${what} has grown`);
  });

  it('refuses a kernel file without a setup header', () => {
    expect(() => bootArea({ ...parts, kernelSetup: new Uint8Array(0x400) })).toThrow('no setup header');
  });
});
