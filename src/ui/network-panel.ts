import type { VmTraffic } from '../host/scripting-interface.ts';
import { DisposableBag } from '../shared/disposable.ts';
import { el, keyedList, listen, setAttribute, setText, show, type Component } from './dom.ts';
import { formatBytes, plural } from './format.ts';
import { saveFile } from './save-file.ts';
import type { Actions, Scene } from './scene.ts';

/** `2.2 MB out · 104 kB in`, and what was dropped if anything was. */
export function trafficWords(traffic: VmTraffic | null): string {
  if (traffic === null) return '';
  const dropped = traffic.dropped === 0 ? '' : ` · ${plural(traffic.dropped, 'frame')} dropped`;
  return `${formatBytes(traffic.bytesFromGuest)} out · ${formatBytes(traffic.bytesToGuest)} in${dropped}`;
}

/** The network of the VM shown: its traffic; behind it, quietly, its port forwards and a capture of the room's frames. */
export function networkPanel(actions: Actions): Component<Scene> {
  const bag = new DisposableBag();
  const words = el('span', { class: 'traffic', 'data-testid': 'traffic' });
  const list = el('ul', { class: 'forwards' });
  const rows = keyedList<{ readonly guestPort: number; readonly hostPort: number }>(
    list,
    (forward) => String(forward.hostPort),
    (forward) => forwardRow(forward, actions),
  );
  const guestPort = el('input', {
    type: 'number',
    name: 'guest-port',
    min: '1',
    max: '65535',
    required: true,
    placeholder: 'PC',
    'aria-label': 'Port of the PC',
  });
  const hostPort = el('input', {
    type: 'number',
    name: 'host-port',
    min: '1024',
    max: '65535',
    placeholder: 'any',
    'aria-label': "Port of the server's machine; empty for any free one",
  });
  const form = el(
    'form',
    { class: 'forward-form', 'data-testid': 'forward-form' },
    el('span', {}, 'localhost:'),
    hostPort,
    el('span', {}, '→ port '),
    guestPort,
    el('button', { type: 'submit', class: 'button quiet' }, 'Add'),
  );
  const recording = captureRow(bag, actions);
  const element = el(
    'details',
    { class: 'card network', 'data-testid': 'network' },
    el('summary', {}, el('h3', {}, 'Network'), words),
    el('h4', { title: 'On the machine on which the server runs, for that machine alone.' }, "Ports of the server's machine"),
    list,
    form,
    el('h4', { title: 'Everything the PCs of this room send unencrypted can be read in it.' }, "The room's frames"),
    recording.element,
  );
  let vmId: string | null = null;

  listen(bag, form, 'submit', (event) => {
    event.preventDefault();
    if (vmId === null) return;
    actions.addForward(vmId, guestPort.valueAsNumber, hostPort.value === '' ? 0 : hostPort.valueAsNumber);
    form.reset();
  });
  listen(bag, element, 'toggle', () => {
    if (element.open) recording.ask();
  });

  return {
    element,
    update({ selected }) {
      vmId = selected?.ended === false ? selected.id : null;
      show(element, vmId !== null);
      const traffic = selected?.traffic ?? null;
      setText(words, trafficWords(traffic));
      setAttribute(words, 'data-from-guest', traffic === null ? null : String(traffic.bytesFromGuest));
      setAttribute(words, 'data-to-guest', traffic === null ? null : String(traffic.bytesToGuest));
      setAttribute(words, 'data-dropped', traffic === null ? null : String(traffic.dropped));
      rows.update(selected?.ended === false ? selected.forwards : []);
    },
    dispose() {
      rows.dispose();
      bag.dispose();
    },
  };
}

/** Starts, downloads and stops the capture of the room's frames. `ask` learns whether there is one: another tab may have started it. */
function captureRow(bag: DisposableBag, actions: Actions): { readonly element: HTMLElement; ask(): void } {
  const { capture, room } = actions.tab;
  const start = el('button', { type: 'button', class: 'button quiet', 'data-testid': 'capture-start' }, 'Record frames');
  const download = el('button', { type: 'button', class: 'button quiet', 'data-testid': 'capture-download' }, 'Download pcap');
  const stop = el('button', { type: 'button', class: 'button quiet', 'data-testid': 'capture-stop' }, 'Stop and forget');

  function draw(running: boolean): void {
    show(start, !running);
    show(download, running);
    show(stop, running);
  }
  /** Answers may overtake each other; only the answer to the last request counts. */
  let asked = 0;
  async function drawAnswer(answer: Promise<boolean>): Promise<void> {
    const mine = ++asked;
    const running = await answer;
    if (mine === asked) draw(running);
  }
  const isRunning = ({ running }: { readonly running: boolean }): boolean => running;

  listen(bag, start, 'click', () => actions.attempt(() => drawAnswer(capture.start().then(isRunning))));
  listen(bag, download, 'click', () => actions.attempt(async () => saveFile(await capture.download(), `${room}.pcap`)));
  listen(bag, stop, 'click', () => actions.attempt(() => drawAnswer(capture.stop().then(() => false))));
  draw(false);
  return {
    element: el('div', { class: 'row' }, start, download, stop),
    ask: () => void drawAnswer(capture.state().then(isRunning)).catch(() => undefined),
  };
}

function forwardRow(forward: { readonly guestPort: number; readonly hostPort: number }, actions: Actions): Component<unknown> {
  const remove = el('button', { type: 'button', class: 'button quiet icon', title: 'Close this port', 'aria-label': `Close port ${forward.hostPort}` }, '×');
  const bag = new DisposableBag();
  listen(bag, remove, 'click', () => actions.removeForward(forward.hostPort));
  return {
    element: el(
      'li',
      { 'data-testid': 'forward-row', 'data-host-port': String(forward.hostPort) },
      el('code', {}, `localhost:${forward.hostPort} → port ${forward.guestPort}`),
      remove,
    ),
    update() {
      /* its ports are its key */
    },
    dispose: () => bag.dispose(),
  };
}
