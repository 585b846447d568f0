/** The CPU's core in WebAssembly, against the known answers of drivers/selftest.py. */
import { readFile } from "node:fs/promises";
import { beforeAll, expect, test } from "vitest";
import { Core, CoreFailure, toBase64 } from "../src/lend/core";

let module: WebAssembly.Module;
beforeAll(async () => {
  const file = await readFile(new URL("../public/farmcpu.wasm", import.meta.url));
  module = await WebAssembly.compile(file);
});

// Keys: blake2b-256 of the bytes 0 … 31 and the nonce in eight bytes, little-endian.
const NONCE_0 = "7b3ae1c3390f6fc59dc82ec6c925c97d5096d2b41bdac0673c2fcebb2a591829";
const NONCE_8 = "08de7491f4443607501a3cefb2e8e817d0b40d744ce62132a51bd8afdf452ead";
const ANSWER = [
  1177, 4575, 4742, 8215, 8592, 9320, 12700, 12948, 17165, 18026, 22885, 23273, 26180, 26433,
  26803, 29036, 29995, 31211, 34406, 36968, 38727, 39517, 39728, 43040, 43565, 44643, 47893,
  49445, 49505, 50303, 50944, 52358, 53326, 53327, 53980, 54835, 56828, 59584, 60883, 62950,
  63491, 64355,
];

function graph(keys: string, edge_bits = 16) {
  return { keys, edge_bits, rounds: [4, 8] as [number, number], proof_size: 42, cycle: 0 };
}

test("the known cycle is found, and none where there is none", async () => {
  const core = await Core.start(module);
  expect(core.solve(graph(NONCE_0))).toEqual([]);
  expect(core.solve(graph(NONCE_8))).toEqual([ANSWER]);
});

test("sizes of graphs follow one another", async () => {
  const core = await Core.start(module);
  core.solve(graph(NONCE_0, 18));
  expect(core.solve(graph(NONCE_8))).toEqual([ANSWER]);
});

/** y = relu(x), 4 values of 8 bits. */
const RELU = "values 2\n8 2 1 4\n8 2 1 4\nparameters 0\nsteps 1\nrelu 1 0 1 1 0\nheads 1 1\n";
const words = (values: number[]) => new Uint8Array(Int32Array.from(values).buffer);

test("a program is run to the bit, again and again", async () => {
  const core = await Core.start(module);
  const program = { text: RELU, parameters: "" };
  for (const sign of [1, -1]) {
    const answer = core.run(program, words([3, -5, 127, -127].map((value) => sign * value)));
    const expected = [3, -5, 127, -127].map((value) => Math.max(0, sign * value));
    expect(toBase64(answer)).toBe(toBase64(words(expected)));
  }
});

test("a malformed program is refused in the core's own words", async () => {
  const core = await Core.start(module);
  const program = { text: RELU.replace("relu", "unknown"), parameters: "" };
  expect(() => core.run(program, words([1, 2, 3, 4]))).toThrow(/unknown/);
  const fresh = await Core.start(module);
  expect(() => fresh.run({ text: RELU, parameters: "" }, words([1]))).toThrow(CoreFailure);
});
