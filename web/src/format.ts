/** How figures are written. A value that is not there is always an em dash, never 0. */

export const ABSENT = "—";

type Figure = number | null | undefined;

const plain = (digits: number) =>
  new Intl.NumberFormat(undefined, { maximumFractionDigits: digits });

/** Three significant places where they matter: 4.12, 38.5, 1,204. */
export function formatNumber(value: Figure, digits?: number): string {
  if (value === null || value === undefined || Number.isNaN(value)) return ABSENT;
  const size = Math.abs(value);
  return plain(digits ?? (size < 10 ? 2 : size < 100 ? 1 : 0)).format(value);
}

/** `1 device`, `2 devices`. */
export function formatCount(count: number, noun: string): string {
  return `${formatNumber(count, 0)} ${count === 1 ? noun : `${noun}s`}`;
}

/** Share of one as per cent. */
export function formatRatio(ratio: Figure): string {
  return ratio === null || ratio === undefined ? ABSENT : `${formatNumber(ratio * 100, 0)} %`;
}

/** Micro-units of the farm's currency as money: two places, four below one unit. */
export function formatMoney(micro: Figure, currency: string): string {
  if (micro === null || micro === undefined) return ABSENT;
  const amount = micro / 1e6;
  const digits = amount !== 0 && Math.abs(amount) < 1 ? 4 : 2;
  const number = amount.toLocaleString(undefined, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
  return currency ? `${number} ${currency}` : number;
}

/** A decimal string of wei as coins. Exact in BigInt; shown to four places, rounded down. */
export function formatWei(wei: string): string {
  const value = BigInt(wei);
  const fraction = ((value % 10n ** 18n) / 10n ** 14n).toString().padStart(4, "0");
  const whole = (value / 10n ** 18n).toLocaleString();
  return `${whole}.${fraction.replace(/0+$/, "").padEnd(2, "0")}`;
}

/** A decimal string of wei as gwei, to three places, rounded down. */
export function formatGwei(wei: string): string {
  const thousandths = BigInt(wei) / 10n ** 6n;
  const fraction = (thousandths % 1000n).toString().padStart(3, "0").replace(/0+$/, "");
  return (thousandths / 1000n).toLocaleString() + (fraction ? `.${fraction}` : "");
}

const BYTE_UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function formatBytes(bytes: Figure): string {
  if (bytes === null || bytes === undefined) return ABSENT;
  const power = bytes < 1 ? 0 : Math.min(4, Math.floor(Math.log2(bytes) / 10));
  return `${formatNumber(bytes / 1024 ** power, power ? undefined : 0)} ${BYTE_UNITS[power]}`;
}

export function formatWatts(watts: Figure): string {
  if (watts === null || watts === undefined) return ABSENT;
  return watts >= 10_000 ? `${formatNumber(watts / 1000, 1)} kW` : `${formatNumber(watts, 0)} W`;
}

/** 0.85 ms · 12 ms · 1,204 ms. */
export function formatMilliseconds(value: Figure): string {
  if (value === null || value === undefined) return ABSENT;
  return `${formatNumber(value, value < 10 ? 2 : 0)} ms`;
}

/** 0.42 s · 12 s · 3 min 5 s · 2 h 7 min · 4 d 3 h. */
export function formatDuration(seconds: Figure): string {
  if (seconds === null || seconds === undefined) return ABSENT;
  if (seconds < 10) return `${formatNumber(seconds, seconds < 1 ? 2 : 1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return pair(whole, 60, "min", "s");
  if (whole < 86_400) return pair(Math.round(whole / 60), 60, "h", "min");
  return pair(Math.round(whole / 3600), 24, "d", "h");
}

function pair(value: number, base: number, large: string, small: string): string {
  const rest = value % base;
  const head = `${Math.floor(value / base)} ${large}`;
  return rest ? `${head} ${rest} ${small}` : head;
}

/** Age of an instant (seconds since the epoch) against `now`. */
export function formatAge(at: number, now: number): string {
  const age = Math.max(0, now - at);
  return age < 1.5 ? "just now" : `${formatDuration(age)} ago`;
}

/** Local date and time; today's shows the time alone. */
export function formatTime(at: number, now: number = Date.now() / 1000): string {
  const date = new Date(at * 1000);
  const today = date.toDateString() === new Date(now * 1000).toDateString();
  const time = date.toLocaleTimeString(undefined, { timeStyle: "medium" });
  return today ? time : `${date.toLocaleDateString(undefined, { dateStyle: "medium" })} ${time}`;
}

/** First and last digits of a hash or address. */
export function shorten(hash: string): string {
  return hash.length <= 16 ? hash : `${hash.slice(0, 8)}…${hash.slice(-6)}`;
}

/** `infer_int8` → `infer int8`. */
export function formatName(name: string): string {
  return name.replaceAll("_", " ");
}
