import type { Screen } from './machine.ts';
import type { V86Instance } from './v86-api.ts';

export function createScreen(instance: V86Instance): Screen & { dispose(): void } {
  return { attach: () => undefined, text: () => (instance.v86.running ? [] : null), sendScancodes: () => undefined, sendMouse: () => undefined, dispose: () => undefined };
}
