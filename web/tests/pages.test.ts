import { expect, test } from "vitest";
import type { Device, Plan } from "../src/api/views";
import { describeConsequences } from "../src/consequences";
import { groupEntries } from "../src/ledger";
import { listChanges, type PlanLine } from "../src/plans";
import { bandOf, findReading, listFields } from "../src/readings";
import { splitResults } from "../src/results";
import { deviceAddress, isDeviceKey, matchRoute } from "../src/routes";

const device: Device = {
  key: "tower/cpu:0",
  rig: "tower",
  id: "cpu:0",
  family: "cpu",
  model: "CPU",
  hardware_id: "x",
  capabilities: [],
  self_tests: [],
  state: "healthy",
  reason: "",
  workload: "mine",
  wanted: "mine",
  why: "",
  priority: 10,
  infer_reserve: true,
  job_id: null,
  locked: false,
  paused: false,
  quarantined: false,
  wish: null,
  readings: {},
  missing: {},
  net_micro_per_hour: { mine: 300_000, idle: -10_000 },
  shares_accepted: 0,
  shares_stale: 0,
  shares_rejected: 0,
  shares_invalid: 0,
};

test("entries of the ledger stand with their transaction, in their order", () => {
  const entry = (id: number, transaction: string, account: string, amount_micro: number) => ({
    id,
    transaction,
    account,
    amount_micro,
    time: id,
    text: transaction,
  });
  const grouped = groupEntries([
    entry(2, "payment:INV-1", "cash", 5),
    entry(2, "payment:INV-1", "receivable:ada", -5),
    entry(1, "invoice:1", "receivable:ada", 5),
    entry(1, "invoice:1", "revenue", -5),
  ]);
  expect(grouped.map((group) => [group.key, group.time])).toEqual([
    ["payment:INV-1", 2],
    ["invoice:1", 1],
  ]);
  expect(grouped.map((group) => group.entries.map((side) => side.account))).toEqual([
    ["cash", "receivable:ada"],
    ["receivable:ada", "revenue"],
  ]);
  expect(groupEntries([])).toEqual([]);
});

test("results are files to download, and figures", () => {
  const sha = "ab".repeat(32);
  const { files, figures } = splitResults({ "model.onnx": sha, accuracy: "0.9778" });
  expect(files).toEqual([["model.onnx", sha]]);
  expect(figures).toEqual([["accuracy", "0.9778"]]);
});

test("routes take their parameters from the path", () => {
  expect(matchRoute("/devices/:rig/:device", "/devices/tower/cpu:0")).toEqual({
    rig: "tower",
    device: "cpu:0",
  });
  expect(matchRoute("/rigs/:rig", "/rigs/a%20b")).toEqual({ rig: "a b" });
  expect(matchRoute("/rigs/:rig", "/rigs/%zz")).toEqual({ rig: "%zz" });
  expect(matchRoute("/", "/")).toEqual({});
  expect(matchRoute("/rigs", "/rigs/tower")).toBeNull();
  expect(matchRoute("/rigs", "/jobs")).toBeNull();
});

test("a device's address leads back to its key", () => {
  const path = deviceAddress("hall 1/cuda:3");
  expect(path).toBe("/devices/hall%201/cuda:3");
  expect(matchRoute("/devices/:rig/:device", path)).toEqual({ rig: "hall 1", device: "cuda:3" });
  expect(isDeviceKey("hall 1/cuda:3")).toBe(true);
  expect(["tower", "local admin", "15da14a3", "a/b/cpu:0"].some(isDeviceKey)).toBe(false);
});

test("clearing a quarantine says why it was, and that it is tested again", () => {
  const wrong = { ...device, quarantined: true, reason: "quarantined: 1 result of 9 differed" };
  const lines = describeConsequences(wrong, "clear", undefined, "EUR");
  expect(lines[0]).toMatch(/tested again/);
  expect(lines[1]).toMatch(/: 1 result of 9 differed$/);
  expect(describeConsequences(device, "clear", undefined, "EUR")[0]).toMatch(/nothing changes/);
});

test("a switch says what stops, what starts and what it costs", () => {
  expect(describeConsequences(device, "switch", "idle", "EUR")).toEqual([
    "Mining stops, idling starts.",
    "Net income falls by 0.3100 EUR an hour.",
  ]);
  expect(describeConsequences(device, "switch", "mine", "EUR")[0]).toMatch(/already/);
});

test("a job on the device is mentioned before it is preempted", () => {
  const training: Device = { ...device, workload: "train", job_id: "j-1" };
  expect(describeConsequences(training, "switch", "mine", "").join(" ")).toMatch(/j-1.*checkpoint/);
  expect(describeConsequences(training, "pause", undefined, "").join(" ")).toMatch(/j-1/);
});

test("an income that nobody knows is not made up", () => {
  const lines = describeConsequences(device, "switch", "infer", "EUR");
  expect(lines.join(" ")).not.toMatch(/income/);
});

test("missing readings are listed with those that were read", () => {
  const fields = listFields({ power_watts: 3, brand_new: 1 }, { fan_ratio: "no fan" });
  expect(fields).toEqual(["power_watts", "fan_ratio", "brand_new"]);
  expect(findReading("brand_new").label).toBe("brand new");
  expect(findReading("temperature_celsius").format(61.4)).toBe("61 °C");
  expect(findReading("temperature_celsius").format(null)).toBe("—");
});

test("temperature bands begin at 67 and 77 °C, and at 80 and 100 °C for memory", () => {
  const core = [66.9, 67, 77].map((value) => bandOf("temperature_celsius", value));
  expect(core).toEqual(["cool", "warm", "hot"]);
  expect(bandOf("memory_temperature_celsius", 79)).toBe("cool");
  expect(bandOf("temperature_celsius", null)).toBe("cool");
});

const line = (name: string, workload: PlanLine["workload"]): PlanLine => ({
  device: name,
  workload,
  priority: 10,
  reason: "",
  job_id: null,
  infer_reserve: false,
});
const plan = (number: number, ...assignments: PlanLine[]): Plan => ({
  number,
  created: 0,
  assignments,
});

test("a plan's changes are those against the plan before", () => {
  const before = plan(1, line("a", "mine"), line("b", "mine"));
  const after = plan(2, line("a", "mine"), line("b", "idle"), line("c", "mine"));
  const changes = listChanges(after, before);
  expect(changes.map((change) => [change.line.device, change.before?.workload])).toEqual([
    ["b", "mine"],
    ["c", undefined],
  ]);
  expect(listChanges(after, after)).toEqual([]);
});
