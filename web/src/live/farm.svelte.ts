/** What the dashboard knows of the farm: fetched once, then kept current by the live stream. */
import { api, take, watchSignOut } from "../api/client";
import type { Block, Device, FarmEvent, Job, Overview, Session, Switch } from "../api/views";
import type { StreamEvent } from "./events";
import { addBlock, addEvent, replaceBy } from "./reduce";
import { Resource } from "./resource.svelte";
import { openStream } from "./stream";

/** How many the first fetch asks for. */
export const NEWEST_BLOCKS = 30;
export const NEWEST_JOBS = 100;
const newestBlocks = { query: { limit: NEWEST_BLOCKS } };
const newestJobs = { query: { limit: NEWEST_JOBS } };
const newestEvents = { query: { limit: 100 } };

export const overview = new Resource(() => take(api.GET("/v1/overview")));
export const rigs = new Resource(() => take(api.GET("/v1/rigs")));
export const devices = new Resource(() => take(api.GET("/v1/devices")));
export const jobs = new Resource(() => take(api.GET("/v1/jobs", { params: newestJobs })));
export const blocks = new Resource(() => take(api.GET("/v1/blocks", { params: newestBlocks })));
export const events = new Resource(() => take(api.GET("/v1/events", { params: newestEvents })));

const resources = [overview, rigs, devices, jobs, blocks, events];

/** The farm's clock, in seconds since the epoch; ticks each second. */
export const clock = $state({ now: Date.now() / 1000 });
let offsetSeconds = 0;

/** How the stream stands. `since` is when it was lost. */
export const live = $state<{ state: "connecting" | "live" | "lost"; since: number }>({
  state: "connecting",
  since: 0,
});

const PATIENCE_SECONDS = 6;

/** Lost for longer than a restart of the controller takes. */
export function isOffline(): boolean {
  return live.state === "lost" && clock.now - live.since >= PATIENCE_SECONDS;
}

export const session = $state<{ signedOut: boolean; who: Session | null }>({
  signedOut: false,
  who: null,
});

type SwitchListener = (change: Switch) => void;
const switchListeners = new Set<SwitchListener>();

/** Be told of each change of a switch. Returns the way to stop. */
export function watchSwitches(listener: SwitchListener): () => void {
  switchListeners.add(listener);
  return () => switchListeners.delete(listener);
}

export function may(scope: string): boolean {
  const scopes = session.who?.scopes ?? [];
  return scopes.includes(scope) || scopes.includes("admin");
}

export function findDevice(key: string): Device | undefined {
  return devices.value?.find((device) => device.key === key);
}

export function currency(): string {
  return overview.value?.money.currency ?? "";
}

/** Start the clock and the stream; the returned function stops them. */
export function start(): () => void {
  live.state = "connecting";
  watchSignOut(() => (session.signedOut = true));
  const tick = setInterval(() => (clock.now = Date.now() / 1000 + offsetSeconds), 1000);
  const close = openStream({ onOpen, onEvent, onLost });
  return () => (clearInterval(tick), close());
}

export async function loadSession(): Promise<void> {
  session.who = await take(api.GET("/v1/session"));
  session.signedOut = false;
}

function onOpen(): void {
  live.state = "live";
  session.signedOut = false;
  void loadSession().catch(() => undefined);
  // Whatever happened while nobody listened is fetched; what was never asked for is not.
  for (const resource of resources) if (resource.value !== null) void resource.refresh();
  if (overview.value === null) void overview.refresh();
}

function onLost(signedOut: boolean): void {
  if (signedOut) session.signedOut = true;
  if (live.state !== "lost") live.since = clock.now;
  live.state = "lost";
}

function onEvent(event: StreamEvent): void {
  APPLY[event.name]?.(JSON.parse(event.data) as never);
}

const APPLY: Record<string, (body: never) => void> = {
  overview: (body: Overview) => {
    offsetSeconds = body.time - Date.now() / 1000;
    overview.value = body;
  },
  device: (body: Device) =>
    devices.change((items) => replaceBy(items, body, (device) => device.key)),
  job: (body: Job) => jobs.change((items) => replaceBy(items, body, (job) => job.id)),
  block: (body: Block) => blocks.change((items) => addBlock(items, body)),
  event: (body: FarmEvent) => events.change((items) => addEvent(items, body)),
  switch: (body: Switch) => switchListeners.forEach((listener) => listener(body)),
};
