/** This browser as a device of the farm: a connection, and a worker that computes. It outlives the
 *  page that started it, until it is switched off or the tab is closed. */
import { describeBrowser, hardwareId, keepChoice, memoryBytes, readChoice } from "./identity";
import type { Choice } from "./identity";
import type { FromBrowser, FromFarm, FromWorker, Standing, ToWorker } from "./messages";
import { findPause, watchPower, type Circumstances } from "./power";

/** off · warming (loads, connects, is tested) · working · paused · refused · offline */
export type Phase = "off" | "warming" | "working" | "paused" | "refused" | "offline";

const RETRY_SECONDS = [1, 2, 5, 15, 60];
const RATE_SECONDS = 10;

export const lending = $state({
  on: false,
  connected: false,
  /** Why it was switched off by the farm or by a failure. */
  refusal: "",
  pause: "",
  standing: null as Standing | null,
  circumstances: { battery: null, hidden: false } as Circumstances,
  choice: readChoice(),
  graphs: 0,
  answers: 0,
  graphsPerSecond: 0,
});

let worker: Worker | null = null;
let socket: WebSocket | null = null;
let stopWatch: () => void = () => undefined;
let attempts = 0;
let retry: ReturnType<typeof setTimeout> | undefined;
let searched: { at: number; graphs: number }[] = [];

export function phase(): Phase {
  if (!lending.on) return lending.refusal ? "refused" : "off";
  if (lending.pause) return "paused";
  if (!lending.connected) return attempts > 0 ? "offline" : "warming";
  return lending.standing?.proved ? "working" : "warming";
}

export function choose(choice: Partial<Choice>): void {
  Object.assign(lending.choice, choice);
  keepChoice($state.snapshot(lending.choice));
  tellWorker({ kind: "load", percent: lending.choice.load });
  lookAgain();
}

export function switchOn(): void {
  if (lending.on) return;
  Object.assign(lending, { on: true, refusal: "", graphs: 0, answers: 0, standing: null });
  attempts = 0;
  worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
  worker.onmessage = ({ data }: MessageEvent<FromWorker>) => hearWorker(data);
  worker.onerror = (event) => switchOff(event.message || "the worker could not be started");
  tellWorker({ kind: "load", percent: lending.choice.load });
  stopWatch = watchPower((now) => {
    lending.circumstances = now;
    lookAgain();
  });
}

export function switchOff(refusal = ""): void {
  lending.on = lending.connected = false;
  lending.refusal = refusal;
  lending.standing = null;
  lending.graphsPerSecond = 0;
  clearTimeout(retry);
  stopWatch();
  worker?.terminate();
  worker = null;
  const closing = socket;
  socket = null;
  closing?.close();
}

const tellWorker = (message: ToWorker) => worker?.postMessage(message);

function tellFarm(message: FromBrowser): void {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function lookAgain(): void {
  if (!lending.on) return;
  const pause = findPause(lending.circumstances, lending.choice);
  tellWorker({ kind: "pause", paused: pause !== "" });
  if (pause === lending.pause) return;
  lending.pause = pause;
  tellFarm({ kind: "paused", reason: pause });
}

function hearWorker(message: FromWorker): void {
  if (message.kind === "ready") connect();
  else if (message.kind === "broken") switchOff(message.detail);
  else {
    tellFarm(message);
    if (message.kind === "searched") count(message.graphs);
    if (message.kind === "inferred") lending.answers += 1;
  }
}

function count(graphs: number): void {
  lending.graphs += graphs;
  searched.push({ at: Date.now(), graphs });
}

/** Graphs a second over the last seconds. */
function measureRate(): void {
  const since = Date.now() - 1000 * RATE_SECONDS;
  searched = searched.filter((one) => one.at >= since);
  lending.graphsPerSecond = searched.reduce((sum, one) => sum + one.graphs, 0) / RATE_SECONDS;
}

function connect(): void {
  const opened = new WebSocket(location.origin.replace(/^http/, "ws") + "/v1/lend");
  socket = opened;
  opened.onopen = greet;
  opened.onmessage = ({ data }) => hearFarm(JSON.parse(String(data)) as FromFarm);
  opened.onclose = () => {
    if (socket === opened) lose();
  };
}

function greet(): void {
  lending.connected = true;
  attempts = 0;
  const model = describeBrowser(navigator.userAgent);
  const cores = navigator.hardwareConcurrency || 1;
  const memory = memoryBytes();
  tellFarm({ kind: "hello", hardware_id: hardwareId(), model, cores, memory_bytes: memory });
  tellFarm({ kind: "paused", reason: lending.pause });
}

function hearFarm(message: FromFarm): void {
  if (message.kind === "refused") switchOff(message.reason);
  else if (message.kind === "standing") {
    lending.standing = message;
    measureRate();
  } else tellWorker(message);
}

/** The connection is gone: what was computed for it is worth nothing, and it is tried again. */
function lose(): void {
  tellWorker({ kind: "rest" });
  Object.assign(lending, { connected: false, standing: null, graphsPerSecond: 0 });
  const seconds = RETRY_SECONDS[Math.min(attempts, RETRY_SECONDS.length - 1)]!;
  attempts += 1;
  retry = setTimeout(connect, 1000 * seconds);
}
