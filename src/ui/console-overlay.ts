import type { VmView } from '../host/scripting-interface.ts';
import { DisposableBag } from '../shared/disposable.ts';
import { el, listen, setAttribute, setText, show, type Component } from './dom.ts';
import { formatMs } from './format.ts';
import { overlayOf, type Overlay } from './overlay-model.ts';
import { hostName, lastEndedOf, movable, type Actions, type Scene } from './scene.ts';
import { assertNever } from '../shared/assert-never.ts';

/** The panel over the console: starting, moved away, powered off, or no VM at all. */
export function consoleOverlay(actions: Actions): Component<Scene> {
  const bag = new DisposableBag();
  const title = el('h3', {});
  const words = el('p', {});
  const fill = el('span', { class: 'bar-fill' });
  const bar = el('div', { class: 'bar', role: 'progressbar', 'aria-valuemin': '0', 'aria-valuemax': '100', 'aria-label': 'Starting' }, fill);
  const bringBack = el('button', { type: 'button', class: 'button primary', 'data-testid': 'bring-back' }, 'Bring it back');
  const watch = el('button', { type: 'button', class: 'button' }, 'Watch it from here');
  const start = el('button', { type: 'button', class: 'button primary', 'data-testid': 'start-vm' }, 'Start a PC');
  const dismiss = el('button', { type: 'button', class: 'button', 'data-testid': 'dismiss' }, 'Put it away');
  const element = el(
    'div',
    { class: 'overlay' },
    el('div', { class: 'overlay-card' }, title, words, bar, el('div', { class: 'row' }, bringBack, watch, start, dismiss)),
  );
  let now: { readonly scene: Scene; readonly overlay: Overlay } | null = null;

  listen(bag, bringBack, 'click', () => {
    if (now?.overlay.kind === 'moved') actions.migrate(now.overlay.vm.id, now.scene.selfId);
  });
  listen(bag, watch, 'click', () => {
    if (now?.overlay.kind === 'moved') actions.dismiss(now.overlay.vm.id);
  });
  listen(bag, start, 'click', () => {
    if (now?.overlay.kind === 'ended') actions.dismiss(now.overlay.vm.id);
    actions.startVm();
  });
  listen(bag, dismiss, 'click', () => {
    if (now?.overlay.kind === 'ended') actions.dismiss(now.overlay.vm.id);
  });

  return {
    element,
    update(scene) {
      const overlay = overlayOf(scene);
      now = { scene, overlay };
      show(element, overlay.kind !== 'none');
      setAttribute(element, 'data-kind', overlay.kind);
      show(bar, overlay.kind === 'starting');
      show(bringBack, overlay.kind === 'moved' && !overlay.returning);
      show(watch, overlay.kind === 'moved' && !overlay.returning);
      show(start, overlay.kind === 'ended' || overlay.kind === 'empty');
      show(dismiss, overlay.kind === 'ended');
      const { heading, text, button } = overlayWords(overlay, scene);
      setText(title, heading);
      setText(words, text);
      setText(start, button ?? 'Start a PC');
      if (overlay.kind === 'starting') {
        const percent = overlay.fraction === null ? null : Math.round(overlay.fraction * 100);
        setAttribute(bar, 'data-unknown', percent === null);
        setAttribute(bar, 'aria-valuenow', percent === null ? null : String(percent));
        fill.style.transform = `scaleX(${overlay.fraction ?? 0})`;
      }
      if (overlay.kind === 'moved') bringBack.disabled = !movable(overlay.vm).ok;
    },
    dispose: () => bag.dispose(),
  };
}

interface OverlayWords {
  readonly heading: string;
  readonly text: string;
  /** On the button that starts a PC, if there is one. */
  readonly button?: string;
}

function overlayWords(overlay: Overlay, scene: Scene): OverlayWords {
  switch (overlay.kind) {
    case 'none':
      return { heading: '', text: '' };
    case 'starting':
      return { heading: overlay.text, text: overlay.fraction === null ? '' : `${Math.round(overlay.fraction * 100)} %` };
    case 'empty':
      return {
        heading: overlay.anew ? 'No PC runs here any more' : 'No PC runs here yet',
        text: 'A PC with 128 MiB of memory and Linux starts in a few seconds.',
        button: overlay.anew ? 'Start a new PC' : 'Start a PC',
      };
    case 'moved':
      if (overlay.returning) return { heading: `${overlay.vm.name} is coming back`, text: `from ${hostName(scene, overlay.vm.hostId)}` };
      return { heading: `Moved to ${hostName(scene, overlay.vm.hostId)}`, text: wentOn(overlay.vm, scene) };
    case 'ended':
      return { heading: `${overlay.vm.name} is off`, text: `${overlay.why} Its memory and what it wrote to its disk are gone.`, button: 'Start again' };
    default:
      return assertNever(overlay);
  }
}

function wentOn(vm: VmView, scene: Scene): string {
  const can = movable(vm);
  if (!can.ok) return can.why;
  const report = lastEndedOf(scene.view, vm.id)?.report;
  return report?.outcome === 'completed' ? `${vm.name} goes on there. It stood still for ${formatMs(report.pauseMs)}.` : `${vm.name} goes on there.`;
}
