import { expect, test } from "vitest";
import { describeBrowser } from "../src/lend/identity";
import { findPause } from "../src/lend/power";

const seen = (charging: boolean, level: number) => ({ battery: { charging, level }, hidden: false });
const usual = { onlyCharging: true, whileHidden: false };
const lax = { onlyCharging: false, whileHidden: true };

test("it computes while the battery charges, whatever its level", () => {
  expect(findPause(seen(true, 0.05), usual)).toBe("");
  expect(findPause(seen(false, 1), usual)).toContain("not charging");
});

test("its owner may allow the upper half of the battery", () => {
  expect(findPause(seen(false, 0.5), lax)).toBe("");
  expect(findPause(seen(false, 0.49), lax)).toContain("49 %");
});

test("a page out of view rests unless its owner chose otherwise", () => {
  const hidden = { ...seen(true, 1), hidden: true };
  expect(findPause(hidden, usual)).toContain("not in view");
  expect(findPause(hidden, lax)).toBe("");
});

test("a browser that tells of no battery is taken to have none", () => {
  expect(findPause({ battery: null, hidden: false }, usual)).toBe("");
});

test("a browser is named in a few words", () => {
  const android = "Mozilla/5.0 (Linux; Android 14) AppleWebKit/537.36 Chrome/140.0.0.0 Mobile";
  expect(describeBrowser(android)).toBe("Chrome 140 on Android");
  expect(describeBrowser("")).toBe("Browser");
});
