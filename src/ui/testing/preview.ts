/** Draws the page over a pretended room: `npx vite`, then /src/ui/testing/preview.html?scene=NAME. */
import { mountPage } from '../page.ts';
import { FakeTab, type FakeOptions } from './fake-tab.ts';

const SCENES: Readonly<Record<string, FakeOptions>> = {
  alone: {},
  two: { hosts: ['Laptop of Ada'] },
  http: { hosts: ['Laptop of Ada'], secure: false },
  three: { hosts: ['Laptop of Ada', 'quick-heron'], vms: 2 },
  many: { hosts: Array.from({ length: 29 }, (_, index) => `student-${index + 1}`), vms: 4 },
  starting: { starting: true },
  empty: { vms: 0 },
  trouble: { trouble: 'This room exists and its key is missing or wrong. Ask the person who opened it for the whole invitation, up to the last letter, and open that address.' },
};

const query = new URLSearchParams(location.search);
const tab = new FakeTab({ ...SCENES[query.get('scene') ?? 'two'], slowness: Number(query.get('slowness') ?? '1') });
const root = document.getElementById('app');
if (root === null) throw new Error('preview.html has no #app');
mountPage(root, tab);
Object.assign(window, { tabmotion: tab });
