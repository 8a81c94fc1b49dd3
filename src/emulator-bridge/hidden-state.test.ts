import { beforeAll, describe, expect, it } from 'vitest';
import { restoreHiddenState, saveHiddenState } from './hidden-state.ts';
import { startDevices } from './testing/real-devices.ts';
import type { V86Cpu } from './v86-api.ts';

type Json = Record<string, unknown>;

describe("what v86's state leaves out", () => {
  let source: V86Cpu;
  let target: V86Cpu;
  beforeAll(async () => {
    source = (await startDevices()).instance.v86.cpu;
    target = (await startDevices()).instance.v86.cpu;
  });

  const encoded = (json: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(json));
  const saved = (): Json => JSON.parse(new TextDecoder().decode(saveHiddenState(source, null))) as Json;

  it('arrives, whatever was there before', () => {
    source.fw_pointer = 3;
    source.io.port_write8(0x92, 2);
    Object.assign(source.devices.vga, { svga_version: 0xb0c1, svga_offset_x: 640, svga_offset_y: 480 });
    Object.assign(source.devices.ide.secondary.master, { atapi_sense_key: 2, atapi_add_sense: 0x3a, medium_changed: 1 });
    source.devices.sb16.write_buffer.push(0x48);
    source.devices.sb16.read_buffer.push(4);
    target.devices.sb16.read_buffer.push(99);
    source.devices.vmware.queue.push(0x3442_554a, -65536);
    source.devices.vmware.clip_in = Uint8Array.of(104, 105);
    const state = saveHiddenState(source, 4_000_000_000);
    expect(restoreHiddenState(target, state)).toBe(4_000_000_000);
    expect(saveHiddenState(target, 4_000_000_000)).toEqual(state);
    expect(target.devices.vmware.queue).toEqual([0x3442_554a, -65536]);
    expect(target.devices.ide.secondary.master).toMatchObject({ atapi_sense_key: 2, atapi_add_sense: 0x3a, medium_changed: 1 });
    expect(target.io.port_read8(0x92)).toBe(2);
    // Saving takes nothing out of the queues.
    expect(source.devices.sb16.write_buffer.length).toBe(1);
    expect(restoreHiddenState(target, saveHiddenState(source, null))).toBeNull();
  });

  it.each<[string, (state: Json) => unknown]>([
    ['no object', () => 7],
    ['a part that is missing', (state) => ({ ...state, sound: undefined })],
    ['a part that is not known', (state) => ({ ...state, more: 1 })],
    ['a number that is none', (state) => ({ ...state, firmwareRead: 'x' })],
    ['a number out of its range', (state) => ({ ...state, systemControl: 256 })],
    ['a fraction', (state) => ({ ...state, displayVersion: 0.5 })],
    ['too few drives', (state) => ({ ...state, drives: [] })],
    ['a queue that is too long', (state) => ({ ...state, pointer: { ...(state['pointer'] as Json), queue: new Array(2000).fill(0) } })],
  ])('is refused with %s, and nothing changes', (_, damage) => {
    const before = saveHiddenState(target, null);
    expect(() => restoreHiddenState(target, encoded(damage(saved())))).toThrow(expect.objectContaining({ name: 'MachineError', code: 'state-invalid' }));
    expect(saveHiddenState(target, null)).toEqual(before);
  });

  it('is refused if it is not JSON', () => {
    expect(() => restoreHiddenState(target, Uint8Array.of(0xff, 0x7b))).toThrow(expect.objectContaining({ code: 'state-invalid' }));
  });
});
