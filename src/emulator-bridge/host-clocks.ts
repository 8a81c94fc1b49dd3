/** The two clocks of the host on which v86 keeps those of the guest. */
export interface HostClocks {
  /** `performance.now()`, which starts anew in every tab; in milliseconds. */
  monotonicMs(): number;
  /** In milliseconds since 1970. */
  wallMs(): number;
}

export const hostClocks: HostClocks = { monotonicMs: () => performance.now(), wallMs: () => Date.now() };
