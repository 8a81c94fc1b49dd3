/** What the page looks like, over a pretended room (src/ui/testing/preview.ts): readable, and everything in its place. */
import type { Page } from '@playwright/test';
import type { FakeTab } from '../src/ui/testing/fake-tab.ts';
import { paleTexts } from './harness/contrast.ts';
import { expect, test } from './harness/test.ts';

type PretendedWindow = { readonly tabmotion: FakeTab };

/** Each scene with the actions in it. Together they show every readable text once. */
const SCENES: readonly (readonly [name: string, query: string, act?: (page: Page) => Promise<void>])[] = [
  ['alone', 'scene=alone', (page) => page.getByRole('button', { name: 'QR code' }).click()],
  ['starting', 'scene=starting'],
  ['empty', 'scene=empty'],
  ['trouble', 'scene=trouble'],
  [
    'plain http',
    'scene=http',
    async (page) => {
      await page.getByTestId('network').locator('summary').click();
      await page.evaluate(() => (window as unknown as PretendedWindow).tabmotion.patch('vm-1', { waitingFor: 'It waits for the server.' }));
      await page.getByTestId('screen-tab').click();
    },
  ],
  ['moving', 'scene=three&slowness=200', (page) => page.evaluate(() => void (window as unknown as PretendedWindow).tabmotion.migrate('vm-1', 'host-1'))],
  [
    'moved away',
    'scene=two&slowness=0.02',
    async (page) => {
      await page.evaluate(() => (window as unknown as PretendedWindow).tabmotion.migrate('vm-1', 'host-1', { verify: true }));
      await page.evaluate(() => (window as unknown as PretendedWindow).tabmotion.say('bad', 'Something went wrong.'));
      await expect(page.getByTestId('bring-back')).toBeVisible();
    },
  ],
  ['off', 'scene=two', (page) => page.evaluate(() => (window as unknown as PretendedWindow).tabmotion.patch('vm-1', { ended: true }))],
  [
    'its tab away',
    'scene=two',
    (page) => page.evaluate(() => (window as unknown as PretendedWindow).tabmotion.patch('vm-1', { ownerPresent: false, here: false, hostId: 'gone' })),
  ],
  ['many', 'scene=many', (page) => page.getByTestId('migrate-button').click()],
];

for (const colorScheme of ['light', 'dark'] as const) {
  test(`every text has a contrast of 4.5 to 1, at rest, under the pointer, focused, pressed and disabled: ${colorScheme}`, async ({ server, context }) => {
    const page = await context.newPage();
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // High enough that nothing is out of sight.
    await page.setViewportSize({ width: 1300, height: 1800 });
    const pale: string[] = [];
    for (const [name, query, act] of SCENES) {
      await page.goto(`${server.origin}/src/ui/testing/preview.html?${query}`);
      await act?.(page);
      for (const { state, text, where, ratio } of await paleTexts(page)) pale.push(`${name}, ${state}: ${ratio} "${text}" ${where}`);
    }
    expect(pale).toEqual([]);
  });
}

const WINDOWS = { wide: [1440, 900], '1024×768': [1024, 768], phone: [390, 844] } as const;

/** What is wrong with the cards of the hosts; empty if they are right. */
async function cardFaults(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const cards = [...document.querySelectorAll<HTMLElement>('[data-testid="host-card"]')];
    const faults: string[] = [];
    for (const card of cards) {
      for (const one of card.querySelectorAll<HTMLElement>('.host-name, .host-note, .chip-name, .chip-state, .another')) {
        if (one.scrollWidth > one.clientWidth + 1 && one.clientWidth > 0) faults.push(`"${one.textContent}" is cut`);
      }
      if (card.offsetWidth < Math.max(...cards.map((other) => other.offsetWidth)) - 1) faults.push(`${card.innerText} is narrower than others`);
    }
    const [self] = cards;
    const tab = (window as unknown as PretendedWindow).tabmotion;
    if (self?.innerText.includes('This tab') !== true || !self.innerText.includes(tab.host.name))
      faults.push(`this tab's card says only ${JSON.stringify(self?.innerText)}`);
    const list = document.querySelector('.host-cards')?.getBoundingClientRect();
    const firstRow = cards.filter((card) => card.offsetTop === self?.offsetTop);
    const right = Math.max(...firstRow.map((card) => card.getBoundingClientRect().right));
    if (list === undefined || right < list.right - 2) faults.push(`the first row ends ${Math.round((list?.right ?? 0) - right)} px before its place`);
    if (document.documentElement.scrollWidth > window.innerWidth) faults.push('the page is wider than the window');
    return faults;
  });
}

for (const [name, [width, height]] of Object.entries(WINDOWS)) {
  test(`the cards of 2 to 12 hosts use the room there is, and this tab's keeps its text: ${name}`, async ({ server, context }) => {
    const page = await context.newPage();
    await page.setViewportSize({ width, height });
    const faults: string[] = [];
    for (const hosts of [2, 5, 8, 12]) {
      await page.goto(`${server.origin}/src/ui/testing/preview.html?hosts=${hosts}`);
      await expect(page.getByTestId('host-card')).toHaveCount(hosts);
      faults.push(...(await cardFaults(page)).map((fault) => `${hosts} hosts: ${fault}`));
      // The page computes the sizes from values of the style sheet: the two may not drift apart.
      const { size, scrolls, spare } = await page.evaluate(() => {
        const cards = document.querySelector<HTMLElement>('.host-cards');
        const consoleHeight = document.querySelector<HTMLElement>('.console-panel')?.offsetHeight ?? 0;
        const rem = Number.parseFloat(getComputedStyle(document.documentElement).fontSize);
        return { size: cards?.dataset['size'], scrolls: document.documentElement.scrollHeight - window.innerHeight, spare: consoleHeight / rem - 24 };
      });
      if (width < 900) continue;
      if (scrolls > 2) faults.push(`${hosts} hosts: ${size} cards leave no room for the console (${scrolls} px too high)`);
      if (size !== 'large' && spare > 12) faults.push(`${hosts} hosts: ${size} cards, although the console has ${spare.toFixed(1)} rem more than it needs`);
    }
    expect(faults).toEqual([]);
  });
}

test('the screen lets go of keys and buttons whatever way the focus goes', async ({ server, context }) => {
  const page = await context.newPage();
  await page.goto(`${server.origin}/src/ui/testing/preview.html?scene=two`);
  const sent = (): Promise<string[]> => page.evaluate(() => (window as unknown as PretendedWindow).tabmotion.sent.splice(0));
  const ways: readonly (readonly [way: string, go: () => Promise<unknown>])[] = [
    ['the window goes to the background', () => page.evaluate(() => window.dispatchEvent(new Event('blur')))],
    ['the page is left', () => page.evaluate(() => window.dispatchEvent(new Event('pagehide')))],
    ['another element gets the focus', () => page.getByTestId('screen-tab').focus()],
    ['the console is shown', () => page.getByTestId('console-tab').dispatchEvent('click')],
  ];
  for (const [way, go] of ways) {
    await page.getByTestId('screen-tab').click();
    const canvas = page.locator('.screen-canvas');
    await canvas.hover();
    await page.mouse.down();
    await page.keyboard.down('Control');
    await page.keyboard.down('ArrowUp');
    await sent();
    await go();
    expect([way, ...(await sent()).sort()]).toEqual([way, 'vm-1 9d', 'vm-1 e0 c8', 'vm-1 mouse 0 0 ...']);
    await page.keyboard.up('ArrowUp');
    await page.keyboard.up('Control');
    await page.mouse.up();
    expect([way, ...(await sent())]).toEqual([way]);
  }
  // A mouse button that is released outside of the picture.
  await page.getByTestId('screen-tab').click();
  await page.locator('.screen-canvas').hover();
  await page.mouse.down();
  expect(await sent()).toContain('vm-1 mouse 0 0 L..');
  await page.mouse.move(2, 2);
  await page.mouse.up();
  expect((await sent()).at(-1)).toBe('vm-1 mouse 0 0 ...');
});
