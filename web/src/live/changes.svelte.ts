/** Changes that a person asked for on this page, from the question to the confirmed result. */
import { api, ApiError, take } from "../api/client";
import type { Device, Switch, Workload } from "../api/views";
import { watchSwitches } from "./farm.svelte";

export type Action = Switch["action"];

/** What is to be done to one or more devices; shown for confirmation first. */
export interface Proposal {
  devices: Device[];
  action: Action;
  workload?: Workload;
}

export interface Change {
  number: number;
  device: string;
  action: Action;
  workload: Workload | null;
  state: "sending" | Switch["state"];
  asked: number;
  seconds: number | null;
  detail: string;
  id: string | null;
}

const KEPT_CHANGES = 50;
const ASK_AGAIN_MS = 2000;

/** The proposal that waits for a yes, and the changes under way or finished. */
export const desk = $state<{ proposal: Proposal | null; changes: Change[] }>({
  proposal: null,
  changes: [],
});

let lastNumber = 0;
watchSwitches(applySwitch);

export function propose(proposal: Proposal): void {
  desk.proposal = proposal;
}

/** Do what was proposed, each device by itself: one that fails does not stop the others. */
export async function carryOut(proposal: Proposal, lock: boolean): Promise<void> {
  desk.proposal = null;
  await Promise.all(proposal.devices.map((device) => carryOutOne(device, proposal, lock)));
}

export function dismissFinished(): void {
  desk.changes = desk.changes.filter((change) => !isFinished(change));
}

export function isFinished(change: Change): boolean {
  return change.state === "confirmed" || change.state === "failed";
}

async function carryOutOne(device: Device, proposal: Proposal, lock: boolean): Promise<void> {
  const change: Change = {
    number: ++lastNumber,
    device: device.key,
    action: proposal.action,
    workload: proposal.workload ?? null,
    state: "sending",
    asked: Date.now() / 1000,
    seconds: null,
    detail: "",
    id: null,
  };
  desk.changes = [change, ...desk.changes].slice(0, KEPT_CHANGES);
  try {
    const answer = await send(device, proposal, lock);
    update(change.number, answer);
    if (answer.state === "pending") void followUp(change.number, answer.id);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    const failed = desk.changes.find((other) => other.number === change.number);
    if (failed) Object.assign(failed, { state: "failed", detail: error.message });
  }
}

function send(device: Device, proposal: Proposal, lock: boolean): Promise<Switch> {
  const path = { rig: device.rig, device: device.id };
  if (proposal.action !== "switch" || !proposal.workload) {
    const action = proposal.action as Exclude<Action, "switch">;
    return take(api.POST(`/v1/devices/{rig}/{device}/${action}`, { params: { path } }));
  }
  const body = { workload: proposal.workload, lock };
  return take(api.POST("/v1/devices/{rig}/{device}/switch", { params: { path }, body }));
}

function update(number: number, answer: Switch): void {
  const change = desk.changes.find((other) => other.number === number);
  if (!change || isFinished(change)) return;
  const { id, state, seconds, detail } = answer;
  Object.assign(change, { id, state, seconds, detail });
}

function applySwitch(answer: Switch): void {
  const change = desk.changes.find((other) => other.id === answer.id);
  if (change) update(change.number, answer);
}

/** The stream may be down: ask until the change is finished or dismissed. */
async function followUp(number: number, id: string): Promise<void> {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    const change = desk.changes.find((other) => other.number === number);
    if (!change || isFinished(change)) return;
    try {
      const params = { path: { switch: id } };
      update(number, await take(api.GET("/v1/switches/{switch}", { params })));
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
    }
  }
}
