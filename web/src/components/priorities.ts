/** Names of `farmctl.domain.Priority`; the higher number wins a device. */
const NAMES: Record<number, string> = {
  0: "idle",
  10: "mining",
  20: "interruptible job",
  30: "INFER reserve",
  40: "contract",
  50: "manual lock",
  60: "safety",
};

export function namePriority(priority: number): string {
  return NAMES[priority] ?? `priority ${priority}`;
}
