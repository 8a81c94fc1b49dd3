/** Loads on first use; a failed load may be tried again. `share`: how much is loaded, 0 to 1; null before the first load and after a failed one. */
import type { GuestSet } from '../emulator-bridge/guest-artefacts.ts';

export function loadOnce(
  load: (onProgress: (fraction: number) => void) => Promise<GuestSet>,
  onProgress: (fraction: number) => void,
): { load: () => Promise<GuestSet>; share: () => number | null } {
  let loading: Promise<GuestSet> | null = null;
  let share: number | null = null;
  return {
    load() {
      share ??= 0;
      loading ??= load((fraction) => {
        share = Math.min(1, fraction);
        onProgress(fraction);
      }).catch((error: unknown) => {
        loading = share = null;
        throw error;
      });
      return loading;
    },
    share: () => share,
  };
}
