import { describe, expect, test } from "vitest";
import type { Block, FarmEvent } from "../src/api/views";
import { reconnectDelay, splitEvents } from "../src/live/events";
import {
  addBlock,
  addEvent,
  addPoint,
  joinOlder,
  KEPT_BLOCKS,
  KEPT_EVENTS,
  listNotable,
  replaceBy,
} from "../src/live/reduce";

const block = (number: number, branch = "a"): Block => ({
  number,
  hash: `0x${number}${branch}`,
  parent: "",
  time: 0,
  miner: "",
  difficulty: 1,
  gas_used: 0,
  gas_limit: 1,
  transactions: 0,
  infer_calls: 0,
  size_bytes: 1,
});
const event = (id: number): FarmEvent => ({
  id,
  time: id,
  kind: "rig",
  subject: "tower",
  text: "",
  level: "info",
});

describe("the event stream", () => {
  test("is split into whole events; the unfinished rest waits", () => {
    const { events, rest } = splitEvents('event: block\ndata: {"number":1}\n\nevent: jo');
    expect(events).toEqual([{ name: "block", data: '{"number":1}' }]);
    expect(rest).toBe("event: jo");
  });
  test("takes CRLF, several data lines and comments", () => {
    const { events } = splitEvents(": ping\r\n\r\ndata: a\r\ndata:b\r\nid: 7\r\n\r\n");
    expect(events).toEqual([{ name: "message", data: "a\nb" }]);
  });
  test("gives the same events however it is cut", () => {
    const text = "event: a\ndata: 1\n\nevent: b\ndata: 2\n\n";
    for (let cut = 0; cut <= text.length; cut++) {
      const first = splitEvents(text.slice(0, cut));
      const second = splitEvents(first.rest + text.slice(cut));
      expect([...first.events, ...second.events]).toHaveLength(2);
    }
  });
  test("is reconnected with growing, bounded pauses", () => {
    const delays = [0, 1, 2, 3, 50].map((attempt) => reconnectDelay(attempt, 0.5));
    expect(delays).toEqual([500, 1000, 2000, 4000, 15_000]);
    expect(reconnectDelay(0, 0)).toBeLessThan(reconnectDelay(0, 1));
  });
});

describe("blocks", () => {
  test("come newest first, each once", () => {
    const blocks = [block(2), block(1)];
    expect(addBlock(blocks, block(3)).map((b) => b.number)).toEqual([3, 2, 1]);
    expect(addBlock(blocks, block(2))).toBe(blocks);
  });
  test("of a branch that was left are dropped", () => {
    const blocks = [block(3), block(2), block(1)];
    const hashes = addBlock(blocks, block(2, "b")).map((b) => b.hash);
    expect(hashes).toEqual(["0x2b", "0x1a"]);
  });
  test("are bounded", () => {
    const many = Array.from({ length: KEPT_BLOCKS }, (_, i) => block(KEPT_BLOCKS - i));
    expect(addBlock(many, block(KEPT_BLOCKS + 1))).toHaveLength(KEPT_BLOCKS);
  });
});

test("older rows join behind the live ones, whatever has moved meanwhile", () => {
  const join = (live: number[], older: number[]) => joinOlder(live, older, (a, b) => a < b);
  expect(join([9, 8], [])).toEqual([9, 8]);
  expect(join([9, 8], [8, 7, 6])).toEqual([9, 8, 7, 6]);
  // The live list has let go of 8 and 7, which were shown.
  expect(join([10, 9], [9, 8, 7])).toEqual([10, 9, 8, 7]);
  expect(join([], [3, 2])).toEqual([3, 2]);
});

test("events are kept once and bounded", () => {
  const many = Array.from({ length: KEPT_EVENTS }, (_, i) => event(KEPT_EVENTS - i));
  expect(addEvent(many, event(7))).toBe(many);
  const more = addEvent(many, event(KEPT_EVENTS + 1));
  expect(more).toHaveLength(KEPT_EVENTS);
  expect(more[0]?.id).toBe(KEPT_EVENTS + 1);
});

test("accepted shares are not worth a look, rejected ones are", () => {
  const share: FarmEvent = { ...event(1), kind: "share" };
  const rejected: FarmEvent = { ...share, id: 2, level: "warning" };
  expect(listNotable([share, rejected, event(3)]).map((e) => e.id)).toEqual([2, 3]);
});

test("an item takes the place of the one with its key", () => {
  const items = [{ key: "a", n: 1 }, { key: "b", n: 1 }];
  const keyOf = (item: { key: string }) => item.key;
  expect(replaceBy(items, { key: "b", n: 2 }, keyOf)).toEqual([items[0], { key: "b", n: 2 }]);
  expect(replaceBy(items, { key: "c", n: 1 }, keyOf)[0]?.key).toBe("c");
  expect(items[1]?.n).toBe(1);
});

test("a chart moves on: old points leave, gaps stay, repeats are ignored", () => {
  const points = { times: [10, 20, 30], values: [1, null, 3] };
  expect(addPoint(points, 35, 4, 15)).toEqual({ times: [20, 30, 35], values: [null, 3, 4] });
  expect(addPoint(points, 30, 9, 15)).toBe(points);
  expect(addPoint(points, 500, null, 15)).toEqual({ times: [500], values: [null] });
});
