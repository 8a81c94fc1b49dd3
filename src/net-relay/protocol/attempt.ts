/**
 * Which of a client's connections a hello belongs to. A network may deliver the hello of a connection that its client
 * has given up after the hello of the next one: judged by arrival alone, the dead connection would take the living
 * one's place.
 */
export interface Attempt {
  /** Each client makes its own, so that numbers of two clients are never compared. */
  readonly client: string;
  /** Rises with every connection the client opens. */
  readonly number: number;
}

/** True if the client has opened `present` later than `arrived`. */
export function isOverdue(arrived: Attempt | undefined, present: Attempt | undefined): boolean {
  return arrived !== undefined && present !== undefined && arrived.client === present.client && arrived.number < present.number;
}
