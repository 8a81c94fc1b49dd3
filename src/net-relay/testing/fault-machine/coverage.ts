/**
 * Which trouble has met which state: every state of both machines against every party and kind of trouble, as a table.
 * A cell that cannot be hit is on a list with its reason; any other that was not, and one on the list that was, is an
 * error of the fault machine.
 */
import type { ReceiverState } from '../../../migration/receiver-states.ts';
import type { SenderState } from '../../../migration/sender-states.ts';
import { PARTIES, TROUBLES, type Party, type Trouble } from './disturbances.ts';

/** Typed as records, so that a state that is added or renamed cannot be forgotten here. */
const SENDER: Readonly<Record<SenderState['name'], true>> = {
  offering: true,
  preparing: true,
  copying: true,
  reconnecting: true,
  holding: true,
  stopping: true,
  'handing-over': true,
  committing: true,
  aborting: true,
  confirming: true,
  withdrawing: true,
  ended: true,
};
const RECEIVER: Readonly<Record<ReceiverState['name'], true>> = {
  'awaiting-offer': true,
  preparing: true,
  receiving: true,
  interrupted: true,
  restoring: true,
  committing: true,
  starting: true,
  proving: true,
  ended: true,
};

export type Row = { readonly side: 'source'; readonly state: SenderState['name'] } | { readonly side: 'target'; readonly state: ReceiverState['name'] };

export const ROWS: readonly Row[] = [
  ...(Object.keys(SENDER) as SenderState['name'][]).map((state): Row => ({ side: 'source', state })),
  ...(Object.keys(RECEIVER) as ReceiverState['name'][]).map((state): Row => ({ side: 'target', state })),
];

interface Impossible {
  readonly party: Party;
  readonly trouble: Trouble;
  /** Absent: in every state. */
  readonly rows?: readonly Row[];
  readonly reason: string;
}

const BEFORE_THE_OFFER: readonly Row[] = [{ side: 'target', state: 'awaiting-offer' }];
const NO_PORT_YET = 'The target opens its port at the relay once the offer has told it for which VM.';

const NO_DISK = 'Only the relay stores anything.';

const IMPOSSIBLE: readonly Impossible[] = [
  { party: 'relay', trouble: 'cancel', reason: 'The relay ends no migration of its own accord; only the users of the two hosts cancel.' },
  { party: 'link', trouble: 'cancel', reason: "A link has nobody who could cancel; what a host says over it is that host's cancel." },
  { party: 'source', trouble: 'full disk', reason: NO_DISK },
  { party: 'target', trouble: 'full disk', reason: NO_DISK },
  { party: 'link', trouble: 'full disk', reason: NO_DISK },
  { party: 'target', trouble: 'cut', rows: BEFORE_THE_OFFER, reason: NO_PORT_YET },
  { party: 'target', trouble: 'late duplicate', rows: BEFORE_THE_OFFER, reason: NO_PORT_YET },
];

const REASONS = [...new Set(IMPOSSIBLE.map(({ reason }) => reason))];
const SHORT: Readonly<Record<Trouble, string>> = {
  crash: 'crash',
  freeze: 'freeze',
  cut: 'cut',
  'late duplicate': 'late',
  cancel: 'cancel',
  'full disk': 'disk',
};
const WIDTH = 7;

export class Coverage {
  private readonly counts = new Map<string, number>();

  add(rows: readonly Row[], party: Party, trouble: Trouble): void {
    for (const row of rows) {
      const cell = cellOf(row, party, trouble);
      this.counts.set(cell, (this.counts.get(cell) ?? 0) + 1);
    }
  }

  count(row: Row, party: Party, trouble: Trouble): number {
    return this.counts.get(cellOf(row, party, trouble)) ?? 0;
  }

  /** What is wrong with the table, cell by cell. */
  errors(): string[] {
    const errors: string[] = [];
    for (const row of ROWS) {
      for (const party of PARTIES) {
        for (const trouble of TROUBLES) {
          const hits = this.count(row, party, trouble);
          const cell = `${row.side}'s ${row.state} x ${party} ${trouble}`;
          if (hits === 0 && reasonAgainst(row, party, trouble) === null) errors.push(`${cell} was never tried`);
          if (hits > 0 && reasonAgainst(row, party, trouble) !== null) errors.push(`${cell} is on the list of impossible cells and was hit`);
        }
      }
    }
    return errors;
  }

  table(): string {
    const lines = [
      ' '.repeat(24) + PARTIES.map((party) => party.padEnd(WIDTH * TROUBLES.length)).join(' '),
      ' '.repeat(24) + PARTIES.map(() => TROUBLES.map((trouble) => SHORT[trouble].padStart(WIDTH)).join('')).join(' '),
    ];
    for (const row of ROWS) {
      const cells = PARTIES.map((party) => TROUBLES.map((trouble) => this.cell(row, party, trouble).padStart(WIDTH)).join('')).join(' ');
      lines.push(`${row.side} ${row.state}`.padEnd(24) + cells);
    }
    return [...lines, ...REASONS.map((reason, index) => `\u2013${index + 1}  ${reason}`)].join('\n');
  }

  private cell(row: Row, party: Party, trouble: Trouble): string {
    const hits = this.count(row, party, trouble);
    const impossible = reasonAgainst(row, party, trouble);
    return hits === 0 && impossible !== null ? `\u2013${REASONS.indexOf(impossible.reason) + 1}` : String(hits);
  }
}

export function reasonAgainst(row: Row, party: Party, trouble: Trouble): Impossible | null {
  return (
    IMPOSSIBLE.find(
      (entry) =>
        entry.party === party &&
        entry.trouble === trouble &&
        (entry.rows === undefined || entry.rows.some(({ side, state }) => side === row.side && state === row.state)),
    ) ?? null
  );
}

function cellOf({ side, state }: Row, party: Party, trouble: Trouble): string {
  return `${side} ${state} ${party} ${trouble}`;
}
