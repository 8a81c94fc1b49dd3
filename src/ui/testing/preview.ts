/** Draws the page with a fake room: `npx vite`, then /src/ui/testing/preview.html?scene=NAME or ?hosts=COUNT. */
import { hostNameFor } from '../../host/host-name.ts';
import { mountPage } from '../page.ts';
import { FakeTab, type FakeOptions } from './fake-tab.ts';

const SCENES: Readonly<Record<string, FakeOptions>> = {
  alone: {},
  loopback: { loopback: true },
  two: { hosts: ['Laptop of Ada'] },
  http: { hosts: ['Laptop of Ada'], secure: false },
  owner: { hosts: ['Laptop of Ada', 'quick-heron'], vms: 2, owner: true },
  three: { hosts: ['Laptop of Ada', 'quick-heron'], vms: 2 },
  many: { hosts: Array.from({ length: 29 }, (_, index) => `student-${index + 1}`), vms: 4 },
  starting: { starting: true },
  empty: { vms: 0 },
  reloaded: {
    hosts: ['Laptop of Ada'],
    ended: [{ id: 'vm-9', name: 'pc-1', at: Date.now() - 4_000, text: 'pc-1 ended when this tab was reloaded or left.', wasHere: true }],
  },
  emptied: {
    vms: 0,
    hosts: ['Laptop of Ada'],
    ended: Array.from({ length: 5 }, (_, index) => ({
      id: `vm-1${index}`,
      name: `pc-${index}`,
      at: Date.now() - 60_000 + index * 7_000,
      text: `pc-${index} ended when its tab, student-${index}, was closed or reloaded.`,
      wasHere: false,
    })),
  },
  trouble: {
    trouble:
      'This room exists and its key is missing or wrong. Ask the person who opened it for the whole invitation, up to the last letter, and open that address.',
  },
};

const query = new URLSearchParams(location.search);
const count = Number(query.get('hosts') ?? '0');
const hosts = count === 0 ? {} : { hosts: Array.from({ length: count - 1 }, (_, index) => hostNameFor(`host-${index}`)) };
const tab = new FakeTab({ ...SCENES[query.get('scene') ?? 'two'], ...hosts, slowness: Number(query.get('slowness') ?? '1') });
const root = document.getElementById('app');
if (root === null) throw new Error('preview.html has no #app');
mountPage(root, tab);
Object.assign(window, { tabmotion: tab });
