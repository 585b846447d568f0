import type { Workload } from "../api/views";

export const WORKLOADS: Workload[] = ["mine", "infer", "train", "external", "idle"];

/** Those that a person can switch a device to; training starts with a job, not by hand. */
export const SWITCHABLE: Workload[] = ["mine", "infer", "idle"];

export const WORKLOAD_NAMES: Record<Workload, string> = {
  mine: "Mine",
  infer: "Infer",
  train: "Train",
  external: "External",
  idle: "Idle",
};
