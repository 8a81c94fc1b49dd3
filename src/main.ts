/** The page's composition root: opens the tab for the address, with the user interface and `window.tabmotion`. */
import type { TabMotion } from './host/scripting-interface.ts';
import { openTab } from './host/tab.ts';
import { browserPlatform } from './host/tab-platform.ts';
import { mountPage } from './ui/page.ts';

declare global {
  interface Window {
    tabmotion: TabMotion;
  }
}

const tab = openTab({
  platform: browserPlatform,
  address: new URL(location.href),
  base: new URL('.', document.baseURI),
  storage: openStorage(() => window.localStorage),
  tabMemory: openStorage(() => window.sessionStorage),
  spawnVmWorker: () => new Worker(new URL('./vm-worker.ts', import.meta.url), { type: 'module', name: 'tabmotion-vm' }),
  showAddress: (address) => history.replaceState(null, '', address),
});

window.tabmotion = tab;
window.addEventListener('pagehide', (event) => {
  // A page kept in the back/forward cache comes back as it was; any other ends its VMs properly.
  if (!event.persisted) tab.dispose();
});

const root = document.getElementById('app');
if (root === null) throw new Error('index.html has no element with the id "app"');
mountPage(root, tab);

/** Private windows of some browsers throw as soon as storage is accessed. */
function openStorage(open: () => Storage): Storage | null {
  try {
    return open();
  } catch {
    return null;
  }
}
