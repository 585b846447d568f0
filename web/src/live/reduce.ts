/** How one live message changes what the dashboard holds. Pure: old value in, new value out. */
import type { Block, FarmEvent } from "../api/views";

export const KEPT_BLOCKS = 200;
export const KEPT_EVENTS = 300;

/** Put `item` in the place of the one with its key, or at the front when it is new. */
export function replaceBy<T>(items: T[], item: T, keyOf: (item: T) => string): T[] {
  const key = keyOf(item);
  const index = items.findIndex((other) => keyOf(other) === key);
  return index < 0 ? [item, ...items] : items.with(index, item);
}

/** Newest first. A block at a height that is there already is a reorganisation: what stood at
 * that height and above it is dropped. */
export function addBlock(blocks: Block[], block: Block): Block[] {
  if (blocks.some((other) => other.hash === block.hash)) return blocks;
  const below = blocks.filter((other) => other.number < block.number);
  return [block, ...below].slice(0, KEPT_BLOCKS);
}

/** Newest first: `live`, then those of `older` that lie behind all of it. */
export function joinOlder<T>(live: T[], older: T[], isOlder: (row: T, than: T) => boolean): T[] {
  const last = live.at(-1);
  if (last === undefined) return older;
  return [...live, ...older.filter((row) => isOlder(row, last))];
}

/** Newest first; an event that came twice is kept once. */
export function addEvent(events: FarmEvent[], event: FarmEvent): FarmEvent[] {
  if (events.some((other) => other.id === event.id)) return events;
  return [event, ...events].slice(0, KEPT_EVENTS);
}

/** Those worth a person's look: a share that was accepted is counted elsewhere. */
export function listNotable(events: FarmEvent[]): FarmEvent[] {
  return events.filter((event) => event.kind !== "share" || event.level !== "info");
}

export interface Points {
  times: number[];
  values: (number | null)[];
}

/** Append a live reading and let go of what has left the window. */
export function addPoint(points: Points, time: number, value: number | null, window: number): Points {
  const last = points.times.at(-1);
  if (last !== undefined && time <= last) return points;
  const from = points.times.findIndex((at) => at >= time - window);
  const start = from < 0 ? points.times.length : from;
  return {
    times: [...points.times.slice(start), time],
    values: [...points.values.slice(start), value],
  };
}
