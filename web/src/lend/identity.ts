/** What this browser says of itself, and what its owner chose; kept in this browser alone. */
import type { Conditions } from "./power";

export interface Choice extends Conditions {
  /** Percent of the time that is computed. */
  load: number;
}
export const LOADS = [10, 25, 50, 75, 100];
const FIRST: Choice = { load: 25, onlyCharging: true, whileHidden: false };
const CHOICE = "farmctl.lend";
const IDENTITY = "farmctl.browser";

export function readChoice(): Choice {
  const kept: unknown = JSON.parse(localStorage.getItem(CHOICE) ?? "null");
  if (typeof kept !== "object" || kept === null) return FIRST;
  const choice = { ...FIRST, ...kept };
  return LOADS.includes(choice.load) ? choice : FIRST;
}

export function keepChoice(choice: Choice): void {
  localStorage.setItem(CHOICE, JSON.stringify(choice));
}

/** Drawn once; `crypto.randomUUID` is only there on secure pages. */
export function hardwareId(): string {
  let id = localStorage.getItem(IDENTITY) ?? "";
  if (!/^[0-9a-f-]{16,64}$/.test(id)) {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    id = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
    localStorage.setItem(IDENTITY, id);
  }
  return id;
}

/** "Chrome 140 on Android"; what cannot be told is left out. */
export function describeBrowser(agent: string): string {
  const browsers: [RegExp, string][] = [
    [/Edg\/(\d+)/, "Edge"],
    [/Firefox\/(\d+)/, "Firefox"],
    [/(?:Headless)?Chrome\/(\d+)/, "Chrome"],
    [/Version\/(\d+).*Safari/, "Safari"],
  ];
  const systems = ["Android", "iPhone", "iPad", "Windows", "Macintosh", "CrOS", "Linux"];
  const found = browsers.find(([pattern]) => pattern.test(agent));
  const name = found ? `${found[1]} ${found[0].exec(agent)?.[1]}` : "Browser";
  const system = systems.find((one) => agent.includes(one));
  return system ? `${name} on ${system}` : name;
}

/** Where the browser tells, in GiB and rounded. */
export function memoryBytes(): number | null {
  const gib = (navigator as Navigator & { deviceMemory?: number }).deviceMemory;
  return gib === undefined ? null : Math.round(gib * 2 ** 30);
}
