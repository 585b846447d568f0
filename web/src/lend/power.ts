/** Whether this machine may compute now: its battery, and whether its page is seen. */

interface Battery extends EventTarget {
  charging: boolean;
  /** 0 … 1. */
  level: number;
}
type WithBattery = Navigator & { getBattery?: () => Promise<Battery> };

/** Below this share of the battery nothing is computed unless it charges. */
export const LEAST_LEVEL = 0.5;

export interface Circumstances {
  /** null where the browser does not tell. */
  battery: { charging: boolean; level: number } | null;
  hidden: boolean;
}
export interface Conditions {
  onlyCharging: boolean;
  whileHidden: boolean;
}

/** Why it must rest; empty where it may compute. */
export function findPause({ battery, hidden }: Circumstances, conditions: Conditions): string {
  if (hidden && !conditions.whileHidden) return "the page is not in view";
  if (!battery || battery.charging) return "";
  if (conditions.onlyCharging) return "the battery is not charging";
  if (battery.level >= LEAST_LEVEL) return "";
  return `the battery is at ${Math.round(100 * battery.level)} % and not charging`;
}

/** Call `changed` now and whenever the circumstances change. Returns the way to stop. */
export function watchPower(changed: (now: Circumstances) => void): () => void {
  const stop = new AbortController();
  let battery: Battery | null = null;
  const tell = () => changed({ battery, hidden: document.hidden });
  const options = { signal: stop.signal };
  document.addEventListener("visibilitychange", tell, options);
  void (navigator as WithBattery).getBattery?.().then((found) => {
    battery = found;
    found.addEventListener("chargingchange", tell, options);
    found.addEventListener("levelchange", tell, options);
    if (!stop.signal.aborted) tell();
  });
  tell();
  return () => stop.abort();
}
