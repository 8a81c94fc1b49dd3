/** The end of the current task: resolves in one of its own, behind what is queued already (the guest's next slice). */
import { platformTasks } from '../emulator-bridge/platform-tasks.ts';

const tasks = platformTasks();

export function nextTask(): Promise<void> {
  return new Promise((resolve) => tasks.soon(resolve));
}
