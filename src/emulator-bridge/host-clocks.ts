/** The two clocks of the host from which v86 derives the guest's. */
export interface HostClocks {
  /** `performance.now()`, which starts anew in every tab; in milliseconds. */
  monotonicMs(): number;
  /** In milliseconds since 1970. */
  wallMs(): number;
}

export const hostClocks: HostClocks = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };
