import type { Component } from './dom.ts';
import { el, setText, show, svg } from './dom.ts';
import { invitation } from './invitation.ts';
import { ownerDialog } from './owner-dialog.ts';
import type { Actions, Scene } from './scene.ts';

/** Product name, room, invitation, what the room's owner may do; and, over plain http, what that means. */
export function header(actions: Actions): Component<Scene> {
  const room = el('strong', {});
  const invite = invitation();
  const owner = ownerDialog(actions);
  const plain = el('p', { class: 'plain-http', role: 'note' }, 'Plain http: keys and frames can be read on this network.');
  const element = el(
    'header',
    { class: 'header' },
    el('h1', { class: 'brand' }, mark(), el('span', {}, 'TabMotion')),
    el('p', { class: 'room' }, 'Room ', room),
    plain,
    el('div', { class: 'header-ends' }, owner.element, invite.element),
  );
  return {
    element,
    update({ view }) {
      setText(room, view.room);
      show(plain, !view.secure);
      show(invite.element, view.invitation !== '' && view.trouble === null);
      invite.update(view);
      owner.update(view);
      if (view.trouble !== null) show(owner.element, false);
    },
    dispose() {
      invite.dispose();
      owner.dispose();
    },
  };
}

/** Two tabs, and the thing that moves between them. */
function mark(): SVGSVGElement {
  return svg(
    'svg',
    { viewBox: '0 0 32 32', class: 'mark', 'aria-hidden': 'true' },
    svg('rect', { x: '1.5', y: '6.5', width: '17', height: '19', rx: '4', class: 'mark-from' }),
    svg('rect', { x: '13.5', y: '6.5', width: '17', height: '19', rx: '4', class: 'mark-to' }),
    svg('rect', { x: '18', y: '12', width: '8', height: '8', rx: '2', class: 'mark-vm' }),
  );
}
