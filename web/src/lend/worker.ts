/** The thread that computes, beside the page's own. */
import { Core, fromBase64, toBase64 } from "./core";
import type { FromWorker, Infer, Search, ToWorker } from "./messages";

/** The core as the farm serves it. */
const CORE = "/farmcpu.wasm";
/** A result of a search is told at least this often. */
const TELL_SECONDS = 1;
const IDLE_MS = 200;

let core: Core | null = null;
let module: WebAssembly.Module | null = null;
let search: (Search & { next: number }) | null = null;
let load = 50;
let paused = false;
let waiting: Infer[] = [];
let tally = { graphs: 0, since: 0 };

const tell = (message: FromWorker) => postMessage(message);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

onmessage = ({ data }: MessageEvent<ToWorker>) => {
  if (data.kind === "load") load = data.percent;
  else if (data.kind === "pause") paused = data.paused;
  else if (data.kind === "infer") waiting.push(data);
  else {
    report();
    search = data.kind === "search" ? { ...data, next: 0 } : null;
  }
};

function report(): void {
  if (search && tally.graphs) tell({ kind: "searched", id: search.id, graphs: tally.graphs });
  tally = { graphs: 0, since: performance.now() };
}

/** Time that `work` took, in milliseconds; a core that failed is started anew. */
async function measure(id: number, work: (core: Core) => void): Promise<number> {
  const began = performance.now();
  try {
    if (!module) throw new Error("the core is not loaded");
    core ??= await Core.start(module);
    work(core);
  } catch (error) {
    core = null;
    tell({ kind: "failed", id, detail: String(error) });
    search = null;
  }
  return performance.now() - began;
}

function solveNext(): Promise<number> {
  const { id, keys, next, ...graph } = search!;
  return measure(id, (core) => {
    const cycles = core.solve({ ...graph, keys: keys[next]! });
    for (const edges of cycles) tell({ kind: "found", id, graph: next, edges });
  });
}

function answer(request: Infer): Promise<number> {
  return measure(request.id, (core) => {
    const output = core.run(request, fromBase64(request.input));
    tell({ kind: "inferred", id: request.id, output: toBase64(output) });
  });
}

async function step(): Promise<number> {
  const request = waiting.shift();
  if (request) return answer(request);
  const present = search!;
  const took = await solveNext();
  if (search !== present) return took; // It failed.
  present.next += 1;
  tally.graphs += 1;
  const done = present.next >= present.keys.length;
  if (done || performance.now() - tally.since >= 1000 * TELL_SECONDS) report();
  if (done) search = null;
  return took;
}

/** Compute for `load` percent of the time, and rest for the others. */
async function work(): Promise<never> {
  for (;;) {
    const idle = paused || (!search && !waiting.length);
    await sleep(idle ? IDLE_MS : ((await step()) * (100 - load)) / load);
  }
}

async function start(): Promise<void> {
  const answer = await fetch(CORE, { signal: AbortSignal.timeout(60_000) });
  if (!answer.ok) throw new Error(`the farm has no core for browsers (${answer.status})`);
  module = await WebAssembly.compile(await answer.arrayBuffer());
  core = await Core.start(module);
  tell({ kind: "ready" });
  await work();
}

start().catch((error: unknown) => tell({ kind: "broken", detail: String(error) }));
