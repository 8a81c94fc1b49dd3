/**
 * The device by which a guest's kernel says that it panicked: QEMU's pvpanic as a PCI card (QEMU's docs/specs/pvpanic),
 * for which Linux has a driver. Its one register says what may be reported, and takes the report. It keeps nothing, so
 * there is nothing to move but its place on the PCI bus, which v86 saves.
 */
import type { V86Cpu } from './v86-api.ts';

/** Events, one bit each. A kernel that another kernel takes over from (kexec) goes on, and reports nothing here. */
const PANICKED = 1;

/** Free among v86's own cards. */
const SLOT = 0x0d;
/** Where the register is until the firmware gives it another place; free among v86's own ports. */
const FIRST_PORT = 0xbc00;
/** Smallest I/O region of a PCI card. */
const PORTS = 4;
const IO_REGION = 1;
const EMPTY = 0xff;

/** The card's configuration header: Red Hat's pvpanic, a system peripheral. */
function configuration(): Uint8Array {
  const bytes = new Uint8Array(64);
  const view = new DataView(bytes.buffer);
  view.setUint16(0x00, 0x1b36, true);
  view.setUint16(0x02, 0x0011, true);
  view.setUint16(0x04, IO_REGION, true);
  view.setUint8(0x08, 1);
  view.setUint16(0x0a, 0x0880, true);
  view.setUint32(0x10, FIRST_PORT | IO_REGION, true);
  return bytes;
}

/** Plugs the card in. Before anything runs, after v86 has made its own devices; `panicked` is called inside a tick. */
export function addPanicDevice(cpu: V86Cpu, panicked: () => void): void {
  const device = { name: 'pvpanic', pci_id: SLOT << 3, pci_space: [...configuration()], pci_bars: [{ size: PORTS }] };
  cpu.io.register_read(FIRST_PORT, device, () => PANICKED);
  cpu.io.register_write(FIRST_PORT, device, (events) => {
    if ((events & PANICKED) !== 0) panicked();
  });
  for (let port = FIRST_PORT + 1; port < FIRST_PORT + PORTS; port++) cpu.io.register_read(port, device, () => EMPTY);
  cpu.devices.pci.register_device(device);
}
