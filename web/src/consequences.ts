/** What a change will do, in words, before anybody confirms it. */
import type { Device, Workload } from "./api/views";
import type { Action } from "./live/changes.svelte";
import { formatMoney } from "./format";

export const VERBS: Record<Action, string> = {
  switch: "Switch",
  pause: "Pause",
  resume: "Resume",
  unlock: "Unlock",
  clear: "Clear",
};

/** One line for each thing that will happen to the device. */
export function describeConsequences(
  device: Device,
  action: Action,
  workload: Workload | undefined,
  currency: string,
): string[] {
  if (action === "pause") return describePause(device);
  if (action === "resume") return ["The planner may give it work again at once."];
  if (action === "unlock") return ["The planner decides again what it does."];
  if (action === "clear") return describeClear(device);
  return describeSwitch(device, workload ?? "idle", currency);
}

function describeClear(device: Device): string[] {
  if (!device.quarantined) return ["It is not in quarantine: nothing changes."];
  return [
    "The quarantine ends: the device is tested again, and works only if it passes.",
    `Why it was taken out: ${device.reason.replace(/^quarantined: /, "")}`,
  ];
}

function describePause(device: Device): string[] {
  return [
    `${nameWork(device.workload)} stops and the device does nothing until somebody resumes it.`,
    ...describeJob(device),
    ...(device.infer_reserve ? ["It no longer answers INFER requests of the node."] : []),
  ];
}

function describeSwitch(device: Device, workload: Workload, currency: string): string[] {
  if (device.workload === workload) return [`It is doing this already: ${nameWork(workload)}.`];
  const lines = [`${nameWork(device.workload)} stops, ${nameWork(workload).toLowerCase()} starts.`];
  lines.push(...describeJob(device));
  const change = compareIncome(device, workload);
  if (change !== null) {
    const word = change < 0 ? "falls" : "rises";
    lines.push(`Net income ${word} by ${formatMoney(Math.abs(change), currency)} an hour.`);
  }
  return lines;
}

function describeJob(device: Device): string[] {
  if (!device.job_id) return [];
  return [`Job ${device.job_id} is checkpointed first and goes on when a device is free.`];
}

function compareIncome(device: Device, workload: Workload): number | null {
  const before = device.net_micro_per_hour[device.workload];
  const after = device.net_micro_per_hour[workload];
  return before === undefined || after === undefined || before === after ? null : after - before;
}

const WORK: Record<Workload, string> = {
  mine: "Mining",
  infer: "INFER verification",
  train: "Training",
  external: "External mining",
  idle: "Idling",
};

export function nameWork(workload: Workload): string {
  return WORK[workload];
}
