/** The device readings that the dashboard knows: their names, forms and warning bands. */
import { formatBytes, formatName, formatNumber, formatRatio, formatWatts } from "./format";

export interface ReadingForm {
  label: string;
  format: (value: number | null | undefined) => string;
  /** Along a chart's axis, where the unit stands in the title already. */
  tick?: (value: number) => string;
  /** Where a value begins to be warm and hot. */
  bands?: [number, number];
  /** Lowest and highest value there can be. */
  limits?: [number, number];
}

const celsius = (value: number | null | undefined) =>
  value === null || value === undefined ? formatNumber(value) : `${formatNumber(value, 0)} °C`;
const unit = (name: string, scale = 1) => (value: number | null | undefined) =>
  value === null || value === undefined ? formatNumber(value) : `${formatNumber(value / scale)} ${name}`;

const FORMS: Record<string, ReadingForm> = {
  graphs_per_second: { label: "Mining rate", format: unit("graphs/s"), tick: formatNumber },
  joules_per_graph: { label: "Energy of a graph", format: unit("J"), tick: formatNumber },
  infers_per_second: { label: "INFER rate", format: unit("INFER/s"), tick: formatNumber },
  steps_per_second: { label: "Training rate", format: unit("steps/s"), tick: formatNumber },
  utilisation_ratio: { label: "Utilisation", format: formatRatio, limits: [0, 1] },
  memory_utilisation_ratio: { label: "Memory traffic", format: formatRatio, limits: [0, 1] },
  temperature_celsius: { label: "Core temperature", format: celsius, bands: [67, 77] },
  memory_temperature_celsius: { label: "Memory temperature", format: celsius, bands: [80, 100] },
  power_watts: { label: "Power", format: formatWatts },
  power_limit_watts: { label: "Power limit", format: formatWatts },
  energy_joules: { label: "Energy since start", format: unit("kWh", 3.6e6) },
  memory_used_bytes: { label: "Memory used", format: formatBytes },
  memory_total_bytes: { label: "Memory", format: formatBytes },
  fan_ratio: { label: "Fan", format: formatRatio },
  clock_hertz: { label: "Core clock", format: unit("MHz", 1e6) },
  memory_clock_hertz: { label: "Memory clock", format: unit("MHz", 1e6) },
  pcie_generation: { label: "PCIe generation", format: (value) => formatNumber(value, 0) },
  pcie_width_lanes: { label: "PCIe lanes", format: (value) => formatNumber(value, 0) },
  pcie_receive_bytes_per_second: { label: "PCIe received", format: unit("MB/s", 1e6) },
  pcie_send_bytes_per_second: { label: "PCIe sent", format: unit("MB/s", 1e6) },
  pcie_replay_count: { label: "PCIe replays", format: (value) => formatNumber(value, 0) },
  link_error_count: { label: "Damaged frames", format: (value) => formatNumber(value, 0) },
  ecc_corrected_count: { label: "ECC errors, corrected", format: (value) => formatNumber(value, 0) },
  ecc_uncorrected_count: { label: "ECC errors, uncorrected", format: (value) => formatNumber(value, 0) },
  retired_memory_count: { label: "Retired memory", format: (value) => formatNumber(value, 0) },
  process_count: { label: "Processes", format: (value) => formatNumber(value, 0) },
  voltage_volts: { label: "Voltage", format: unit("V") },
  scrape_seconds: { label: "Reading took", format: unit("ms", 1e-3) },
  throttle_count: { label: "Slowed by heat, times", format: (value) => formatNumber(value, 0) },
  throttle_bits: { label: "Throttling", format: throttling },
};

/** NVML's bits of what holds the clocks down (nvmlClocksEventReason…). */
const THROTTLE_REASONS: [number, string][] = [
  [0x1, "idle"],
  [0x2, "clock setting"],
  [0x4, "power limit"],
  [0x8, "hardware"],
  [0x10, "sync boost"],
  [0x20, "heat"],
  [0x40, "heat (hardware)"],
  [0x80, "power brake"],
  [0x100, "display clock"],
];

function throttling(value: number | null | undefined): string {
  if (value === null || value === undefined) return formatNumber(value);
  const words = THROTTLE_REASONS.filter(([bit]) => value & bit).map(([, word]) => word);
  return words.join(", ") || (value === 0 ? "none" : `0x${value.toString(16)}`);
}

/** The form of a field; one that is new to the dashboard is still shown, as a plain number. */
export function findReading(field: string): ReadingForm {
  return FORMS[field] ?? { label: formatName(field), format: formatNumber };
}

/** All fields of a device, read or missing, in the order of the table above. */
export function listFields(readings: object, missing: object): string[] {
  const order = Object.keys(FORMS);
  const rank = (field: string) => (order.indexOf(field) + 1 || order.length + 1);
  const fields = new Set([...Object.keys(readings), ...Object.keys(missing)]);
  return [...fields].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
}

/** Fields worth a chart, best first. */
export const CHARTED = [
  "graphs_per_second",
  "joules_per_graph",
  "utilisation_ratio",
  "temperature_celsius",
  "power_watts",
  "memory_used_bytes",
  "infers_per_second",
  "steps_per_second",
];

export type Band = "cool" | "warm" | "hot";

export function bandOf(field: string, value: number | null | undefined): Band {
  const bands = FORMS[field]?.bands;
  if (!bands || value === null || value === undefined) return "cool";
  return value >= bands[1] ? "hot" : value >= bands[0] ? "warm" : "cool";
}
