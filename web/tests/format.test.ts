import { describe, expect, test } from "vitest";
import {
  ABSENT,
  formatAge,
  formatBytes,
  formatCount,
  formatDuration,
  formatMoney,
  formatNumber,
  formatRatio,
  formatTime,
  formatWatts,
  formatGwei,
  formatMilliseconds,
  formatWei,
  shorten,
} from "../src/format";

describe("a value that is not there", () => {
  test.each([
    formatNumber,
    formatRatio,
    formatBytes,
    formatWatts,
    formatDuration,
    formatMilliseconds,
  ])("%o writes a dash, never 0", (format) => {
    expect(format(null)).toBe(ABSENT);
    expect(format(undefined)).toBe(ABSENT);
    expect(format(0)).not.toBe(ABSENT);
  });
  test("is a dash as money and as not-a-number too", () => {
    expect(formatMoney(null, "EUR")).toBe(ABSENT);
    expect(formatNumber(NaN)).toBe(ABSENT);
  });
});

test("numbers keep three significant places where they matter", () => {
  expect([4.1234, 38.54, 1203.9].map((value) => formatNumber(value))).toEqual([
    "4.12",
    "38.5",
    "1,204",
  ]);
});

test("money comes from micro-units and shows small amounts with four places", () => {
  expect(formatMoney(2_410_000, "EUR")).toBe("2.41 EUR");
  expect(formatMoney(42_233, "EUR")).toBe("0.0422 EUR");
  expect(formatMoney(-14_000, "")).toBe("-0.0140");
  expect(formatMoney(0, "EUR")).toBe("0.00 EUR");
});

test("wei beyond a double's 53 bits is exact", () => {
  expect(formatWei("0")).toBe("0.00");
  expect(formatWei("150000000123456789012345678")).toBe("150,000,000.1234");
  expect(formatWei("7000000000000000000")).toBe("7.00");
});

test("milliseconds have places below ten", () => {
  expect([0.851, 12.4, 1203.9].map(formatMilliseconds)).toEqual(["0.85 ms", "12 ms", "1,204 ms"]);
});

test("durations carry the two largest units", () => {
  const seconds = [0.42, 12.2, 59.7, 185, 3600, 7620, 356_400];
  expect(seconds.map(formatDuration)).toEqual([
    "0.42 s",
    "12 s",
    "1 min",
    "3 min 5 s",
    "1 h",
    "2 h 7 min",
    "4 d 3 h",
  ]);
});

test("sizes, watts, ratios and hashes", () => {
  expect(formatBytes(12_884_901_888)).toBe("12 GiB");
  expect(formatBytes(900)).toBe("900 B");
  expect(formatBytes(2_469_606_195)).toBe("2.3 GiB");
  expect(formatWatts(1062)).toBe("1,062 W");
  expect(formatWatts(12_300)).toBe("12.3 kW");
  expect(formatRatio(0.987)).toBe("99 %");
  expect(shorten("0x52bc44d5378309ee2abf1539bf71de1b7d7be3b5")).toBe("0x52bc44…7be3b5");
  expect(shorten("tower")).toBe("tower");
});

test("one device, no devices", () => {
  expect([0, 1, 1200].map((count) => formatCount(count, "device"))).toEqual([
    "0 devices",
    "1 device",
    "1,200 devices",
  ]);
});

test("an age is never negative, whatever the clocks say", () => {
  expect(formatAge(100, 90)).toBe("just now");
  expect(formatAge(100, 160)).toBe("1 min ago");
});

test("today's time has no date, an older one has", () => {
  const noon = new Date(2026, 4, 9, 12, 0, 0).getTime() / 1000;
  expect(formatTime(noon, noon + 60)).not.toMatch(/2026/);
  expect(formatTime(noon - 3 * 86_400, noon)).toMatch(/2026/);
});

test("gwei keep what a fee of a fraction of a coin says", () => {
  expect(formatGwei("10015000000000")).toBe("10,015");
  expect(formatGwei("1500000")).toBe("0.001");
  expect(formatGwei("2500000000")).toBe("2.5");
  expect(formatGwei("0")).toBe("0");
});
