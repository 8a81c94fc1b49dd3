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
  const element = el('div', { class: 'overlay' },
    el('div', { class: 'overlay-card' }, title, words, bar, el('div', { class: 'row' }, bringBack, watch, start, dismiss)));
  let now: { readonly scene: Scene; readonly overlay: Overlay } | null = null;

  bag.add(listen(bringBack, 'click', () => {
    if (now?.overlay.kind === 'moved') actions.migrate(now.overlay.vm.id, now.scene.selfId);
  }));
  bag.add(listen(watch, 'click', () => {
    if (now?.overlay.kind === 'moved') actions.dismiss(now.overlay.vm.id);
  }));
  bag.add(listen(start, 'click', () => {
    if (now?.overlay.kind === 'ended') actions.dismiss(now.overlay.vm.id);
    actions.startVm();
  }));
  bag.add(listen(dismiss, 'click', () => {
    if (now?.overlay.kind === 'ended') actions.dismiss(now.overlay.vm.id);
  }));

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
      switch (overlay.kind) {
        case 'none':
          break;
        case 'starting':
          setText(title, overlay.text);
          setText(words, overlay.fraction === null ? '' : `${Math.round(overlay.fraction * 100)} %`);
          setAttribute(bar, 'data-unknown', overlay.fraction === null);
          setAttribute(bar, 'aria-valuenow', overlay.fraction === null ? null : String(Math.round(overlay.fraction * 100)));
          fill.style.transform = `scaleX(${overlay.fraction ?? 0})`;
          break;
        case 'empty':
          setText(title, overlay.anew ? 'No PC runs here any more' : 'No PC runs here yet');
          setText(words, 'A PC with 128 MiB of memory and Linux starts in a few seconds.');
          setText(start, overlay.anew ? 'Start a new PC' : 'Start a PC');
          break;
        case 'moved': {
          const { vm, returning } = overlay;
          const report = lastEndedOf(scene.view, vm.id)?.report;
          const can = movable(vm);
          setText(title, returning ? `${vm.name} is coming back` : `Moved to ${hostName(scene, vm.hostId)}`);
          setText(words, returning ? `from ${hostName(scene, vm.hostId)}`
            : !can.ok ? can.why
              : report?.outcome === 'completed' ? `${vm.name} goes on there. It stood still for ${formatMs(report.pauseMs)}.`
                : `${vm.name} goes on there.`);
          bringBack.disabled = !can.ok;
          break;
        }
        case 'ended':
          setText(title, `${overlay.vm.name} is off`);
          setText(words, `${overlay.why} Its memory and what it wrote to its disk are gone.`);
          setText(start, 'Start again');
          break;
        default:
          assertNever(overlay);
      }
    },
    dispose: () => bag.dispose(),
  };
}
