/** The one sentence at the top of the page that says what is going on, and what can be done next. */
import { formatMs, plural } from './format.ts';
import { whyEnded } from './overlay-model.ts';
import { hostName, lastEndedOf, migrationOf, movable, targetsOf, type Scene } from './scene.ts';

export interface Headline {
  readonly text: string;
  /** A second, quieter sentence. */
  readonly detail: string;
  readonly tone: 'calm' | 'moving' | 'good' | 'bad';
}

export function headline(scene: Pick<Scene, 'view' | 'selfId' | 'selected'>, now: number): Headline {
  const { view, selected: vm } = scene;
  if (view.starting !== null && vm === null) {
    return { text: 'A PC is getting ready.', detail: 'A real x86 computer with Linux, all inside this page.', tone: 'calm' };
  }
  if (vm === null) {
    const text = view.endedVms.length === 0 ? 'No PC runs in this room yet.' : 'No PC runs in this room any more.';
    return { text, detail: 'Start one: a real x86 computer with Linux, all inside this page.', tone: 'calm' };
  }
  const where = hostName(scene, vm.hostId);
  const inWhere = vm.here ? 'in this tab' : `in ${where}`;
  const migration = migrationOf(view, vm.id);
  if (migration !== null) {
    return {
      text: `${vm.name} is moving to ${hostName(scene, migration.to)}.`,
      detail: vm.waitingFor ?? 'It keeps working meanwhile: programs, files and network connections.',
      tone: 'moving',
    };
  }
  if (vm.ended) {
    const why = whyEnded(view.log, vm.id);
    return {
      text: `${vm.name} is off.`,
      detail: why === null ? 'It can be started again.' : `${why} It can be started again.`,
      tone: why === null ? 'calm' : 'bad',
    };
  }
  if (vm.waitingFor !== null) return { text: `${vm.name} is waiting.`, detail: vm.waitingFor, tone: 'bad' };
  if (!vm.ownerPresent) {
    return {
      text: `The tab that holds ${vm.name} is away.`,
      detail: 'If it was closed, the PC is lost; if it sleeps, the PC goes on when it wakes.',
      tone: 'bad',
    };
  }
  if (vm.state === 'starting') return { text: `${vm.name} is starting ${inWhere}.`, detail: view.starting?.text ?? '', tone: 'calm' };

  const ended = lastEndedOf(view, vm.id);
  if (ended !== null && ended.known !== 'past' && now - ended.at < FRESH_MS) {
    const { report } = ended;
    if (report.outcome === 'completed' && report.to === vm.hostId) {
      return {
        text: `${vm.name} now runs ${inWhere}.`,
        detail: `It stood still for ${formatMs(report.pauseMs)}. Its programs and connections went on.`,
        tone: 'good',
      };
    }
    // The report arrives before the room's list without the VM does.
    if (report.cause === 'vm-ended') return { text: `${vm.name} is off.`, detail: report.reason ?? '', tone: 'calm' };
    if (report.outcome !== 'completed') {
      return {
        text: `${vm.name} ${report.outcome === 'cancelled' ? 'stays' : 'did not move; it runs on'} ${inWhere}.`,
        detail: report.reason ?? 'The move was ended.',
        tone: report.outcome === 'failed' ? 'bad' : 'calm',
      };
    }
  }
  const what = view.vms.length > 1 ? vm.name : 'A real PC';
  const targets = targetsOf(view, vm);
  const only = targets[0];
  if (only === undefined || !movable(vm).ok) {
    return {
      text: `${what} is running ${inWhere}.`,
      detail:
        only === undefined
          ? `Open the invitation in a second tab${view.othersCanJoin ? ' or on another computer' : ''}, and it can move there while it runs.`
          : '',
      tone: 'calm',
    };
  }
  return {
    text: `${what} is running ${inWhere}.`,
    detail:
      targets.length === 1
        ? `Press Migrate: it moves to ${hostName(scene, only.id)} while it runs.`
        : `Press Migrate: it moves to any of ${plural(targets.length, 'other tab')} while it runs.`,
    tone: 'calm',
  };
}

/** How long the outcome of a move stays in the headline. */
export const FRESH_MS = 30_000;
