/**
 * With this device, a guest's kernel reports that it panicked: QEMU's pvpanic as a PCI card (QEMU's
 * docs/specs/pvpanic), for which Linux has a driver. Reading its only register gives the supported events; writing to
 * it reports one. The device has no state, so only its place on the PCI bus has to move, and v86 saves that.
 */
import type { V86Cpu } from './v86-api.ts';

/** Events, one bit each. When a kernel hands over to another one (kexec), the guest goes on, and nothing is reported here. */
const PANICKED = 1;

/** Free among v86's own cards. */
const SLOT = 0x0d;
/** The register's port until the firmware assigns another one; not used by v86's own ports. */
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
