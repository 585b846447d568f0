/** What one plan changed against the one before it. */
import type { Plan } from "./api/views";

export type PlanLine = Plan["assignments"][number];

export interface PlanChange {
  line: PlanLine;
  /** What the device did before; null when the plan mentions it for the first time. */
  before: PlanLine | null;
}

/** Lines of `plan` that give a device other work than `previous` did. */
export function listChanges(plan: Plan, previous: Plan | undefined): PlanChange[] {
  const old = new Map(previous?.assignments.map((line) => [line.device, line]));
  return plan.assignments
    .map((line) => ({ line, before: old.get(line.device) ?? null }))
    .filter(({ line, before }) => !before || !isSameWork(line, before));
}

function isSameWork(a: PlanLine, b: PlanLine): boolean {
  return (
    a.workload === b.workload && a.job_id === b.job_id && a.infer_reserve === b.infer_reserve
  );
}
