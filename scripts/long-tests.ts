/**
 * Test files that `npm test` leaves to `npm test -- --all`, because they boot guests, attack a whole server, or speak
 * with real kernels in namespaces, for many seconds each.
 */
export const LONG_TESTS: readonly string[] = [
  'bench/soak/soak.test.ts',
  'guest/forks.test.ts',
  'guest/guest.test.ts',
  'src/emulator-bridge/create-machine.test.ts',
  'src/emulator-bridge/guest-devices.test.ts',
  'src/emulator-bridge/guest-end.test.ts',
  'src/emulator-bridge/twin.test.ts',
  'src/emulator-bridge/vm-contract.test.ts',
  'src/emulator-bridge/write-tracking.test.ts',
  'src/emulator-bridge/x87-control.test.ts',
  'src/net-relay/gateway/guest-kernel.test.ts',
  'src/net-relay/gateway/kernel.test.ts',
  'src/net-relay/gateway/tap-tcp.test.ts',
];

/** Of them, those that real kernels and whole servers answer in real time: they run one at a time, behind the others. */
export const LONE_TESTS: readonly string[] = [
  'bench/soak/soak.test.ts',
  'src/net-relay/gateway/guest-kernel.test.ts',
  'src/net-relay/gateway/kernel.test.ts',
  'src/net-relay/gateway/tap-tcp.test.ts',
];

/** Those that take longest, the longest first: begun last, one of them would run on alone when all others have ended. */
export const LONGEST_TESTS: readonly string[] = [
  'src/host/room-machine.test.ts',
  'guest/guest.test.ts',
  'guest/forks.test.ts',
  'src/net-relay/server/fault-machine.test.ts',
  'src/emulator-bridge/write-tracking.test.ts',
  'src/emulator-bridge/create-machine.test.ts',
  'src/emulator-bridge/twin.test.ts',
];

/** Which of the unit tests `vitest` runs, by TABMOTION_UNIT: all of them unless it says `beside` (all but the lone ones) or `alone` (these). */
export const UNIT_PART = process.env['TABMOTION_UNIT'];

/** The one test in a browser that `npm test` runs: a real guest moves from tab to tab. */
export const QUICK_BROWSER_TEST = 'A2:';
