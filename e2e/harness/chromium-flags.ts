/**
 * When tests share two cores, only V8's quick compiler compiles WebAssembly: in a test of a few seconds, the optimising
 * compiler takes longer than the guest's own work, and changes nothing else. scripts/test.ts asks for this.
 */
const SPARING = process.env['TABMOTION_SPARING'] === '1';

/**
 * The first two are pages of the browser's own address bar: each window would load one beside ours, which costs more
 * processor time than our page. The others are what Playwright switches off; the browser heeds only the last such list.
 */
const DISABLED_FEATURES: readonly string[] = [
  'WebUIOmniboxAimPopup',
  'WebUIOmniboxPopup',
  'AimEnabled',
  'AvoidCorsURLLoaderRestartOnRedirect',
  'AvoidUnnecessaryBeforeUnloadCheckSync',
  'DestroyProfileOnBrowserClose',
  'HttpsFirstBalancedModeAutoEnable',
  'HttpsUpgrades',
  'LensOverlay',
  'MediaRouter',
  'NetworkTimeServiceQuerying',
  'OptimizationHints',
  'PaintHolding',
  'PreconnectToSearch',
  'ThirdPartyStoragePartitioning',
];

/**
 * No flag changes what a page can do: the sandbox is off because tests may run as root, the rest keeps the browser from
 * contacting anybody but our server.
 */
export const CHROMIUM_FLAGS: readonly string[] = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  `--disable-features=${DISABLED_FEATURES.join(',')}`,
  ...(SPARING ? ['--js-flags=--liftoff-only'] : []),
];
