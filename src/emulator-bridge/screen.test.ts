import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { GuestScreen, type VgaLike } from './screen.ts';
import { ManualClock } from './testing/manual-clock.ts';
import { startDevices } from './testing/real-devices.ts';
import type { V86Instance } from './v86-api.ts';

class FakeImageData {
  readonly data: Uint8ClampedArray;
  readonly width: number;
  readonly height: number;

  constructor(data: Uint8ClampedArray, width: number, height: number) {
    expect(data.length).toBe(width * height * 4);
    this.data = data;
    this.width = width;
    this.height = height;
  }
}

/** An OffscreenCanvas that remembers what was put on it. */
function fakeCanvas() {
  const puts: { width: number; height: number; x: number; y: number; dirty: number[] }[] = [];
  const context = {
    fillStyle: '',
    fillRect: () => undefined,
    putImageData: (image: FakeImageData, x: number, y: number, ...dirty: number[]) => puts.push({ width: image.width, height: image.height, x, y, dirty }),
  };
  const canvas = { width: 1, height: 1, getContext: () => context };
  return { canvas: canvas as unknown as OffscreenCanvas, puts };
}

interface RealVga extends VgaLike {
  max_scan_line: number;
  vga_memory_write_text_mode(address: number, value: number): void;
  port1CE_write(index: number): void;
  port1CF_write(value: number): void;
}

describe("GuestScreen on v86's VGA", () => {
  let instance: V86Instance;
  let vga: RealVga;
  let clock: ManualClock;
  let screen: GuestScreen;

  beforeEach(async () => {
    vi.stubGlobal('ImageData', FakeImageData);
    ({ instance } = await startDevices());
    vga = instance.v86.cpu.devices.vga as unknown as RealVga;
    // As a VGA BIOS sets it: 16 lines a character.
    vga.max_scan_line = 15;
    clock = new ManualClock();
    screen = new GuestScreen(instance.bus, vga, instance.v86.cpu.devices.ps2, clock);
  });

  afterEach(() => {
    screen.dispose();
    expect(clock.pending).toBe(0);
    vi.unstubAllGlobals();
  });

  function print(row: number, text: string): void {
    Array.from(text, (character, column) => {
      vga.vga_memory_write_text_mode((row * 80 + column) * 2, character.charCodeAt(0));
      vga.vga_memory_write_text_mode((row * 80 + column) * 2 + 1, 7);
    });
  }

  function setMode(width: number, height: number): void {
    for (const [index, value] of [
      [4, 0],
      [1, width],
      [2, height],
      [3, 32],
      [4, 0x41],
    ] as const) {
      vga.port1CE_write(index);
      vga.port1CF_write(value);
    }
  }

  it('knows the text the guest shows, with or without a canvas', () => {
    print(3, 'Hello');
    expect(screen.text()?.[3]?.trimEnd()).toBe('Hello');
    expect(screen.text()).toHaveLength(25);
    expect(screen.text()?.every((line) => line.length === 80)).toBe(true);
  });

  it('costs no timer while nobody looks, draws all when a canvas comes, then only what changes', async () => {
    expect(clock.pending).toBe(0);
    const { canvas, puts } = fakeCanvas();
    screen.attach(canvas);
    await clock.advance(40);
    expect([canvas.width, canvas.height]).toEqual([9 * 80, 16 * 25]);
    expect(puts).toHaveLength(25);
    puts.length = 0;
    print(2, 'x');
    await clock.advance(40);
    expect(puts).toEqual([{ width: 720, height: 16, x: 0, y: 32, dirty: [] }]);
    screen.attach(null);
    expect(clock.pending).toBe(0);
  });

  it("shows graphics on a canvas of the guest's size, and has no text then", async () => {
    const { canvas, puts } = fakeCanvas();
    screen.attach(canvas);
    setMode(320, 200);
    expect(screen.text()).toBeNull();
    expect(screen.size).toEqual({ width: 320, height: 200 });
    await clock.advance(40);
    expect([canvas.width, canvas.height]).toEqual([320, 200]);
    expect(puts.at(-1)).toMatchObject({ width: 320, height: 200, x: 0, y: 0 });
    screen.attach(null);
    expect(clock.pending).toBe(1);
    await clock.advance(300);
    screen.attach(canvas);
    puts.length = 0;
    await clock.advance(40);
    expect(puts).toHaveLength(1);
  });

  it('shows a guest that arrives in another mode as it is', async () => {
    setMode(400, 300);
    const state = instance.v86.save_state();
    screen.dispose();
    const target = await startDevices();
    screen = new GuestScreen(target.instance.bus, target.instance.v86.cpu.devices.vga, target.instance.v86.cpu.devices.ps2, clock);
    const { canvas } = fakeCanvas();
    screen.attach(canvas);
    expect(screen.text()).not.toBeNull();
    target.instance.v86.restore_state(state);
    expect(screen.text()).toBeNull();
    await clock.advance(40);
    expect([canvas.width, canvas.height]).toEqual([400, 300]);
  });
});
