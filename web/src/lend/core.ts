/** The CPU's core in WebAssembly (drivers/cpu/wasm): an instance, and its memory by name. */

export interface Graph {
  /** Four siphash keys, 64 hex digits: little-endian words one after another. */
  keys: string;
  edge_bits: number;
  rounds: [number, number];
  proof_size: number;
  /** 0 Cuckaroo, 1 Cuckatoo. */
  cycle: number;
}

export interface Program {
  /** The flat form of farmcpu.h. */
  text: string;
  /** Little-endian int32, base64. */
  parameters: string;
}

interface Exports {
  memory: WebAssembly.Memory;
  _initialize(): void;
  malloc(bytes: number): number;
  free(address: number): void;
  farmcpu_solver_create(
    edgeBits: number,
    cycle: number,
    method: number,
    threads: number,
    limit: bigint,
  ): number;
  farmcpu_solver_free(solver: number): void;
  farmcpu_solve(
    solver: number,
    graph: number,
    stop: number,
    cycles: number,
    capacity: number,
    found: number,
  ): number;
  farmcpu_program_load(
    text: number,
    textBytes: number,
    parameters: number,
    words: number,
    limit: bigint,
    status: number,
    error: number,
    errorBytes: number,
  ): number;
  farmcpu_program_input_words(program: number): number;
  farmcpu_program_output_words(program: number): number;
  farmcpu_program_run(
    program: number,
    input: number,
    inputWords: number,
    output: number,
    outputWords: number,
  ): number;
  farmcpu_program_free(program: number): void;
}

const MEMORY_LIMIT_BYTES = 256n << 20n;
const MAX_CYCLES = 256;
const GRAPH_BYTES = 56;
const MEAN = 0;

/** What the core says is wrong. The instance is of no use afterwards. */
export class CoreFailure extends Error {}

export class Core {
  #core: Exports;
  #solver = { edgeBits: 0, cycle: 0, address: 0 };

  private constructor(core: Exports) {
    this.#core = core;
  }

  static async start(module: WebAssembly.Module): Promise<Core> {
    let memory: WebAssembly.Memory | null = null;
    const host = {
      fail(address: number): void {
        throw new CoreFailure(readWords(memory, address));
      },
    };
    const imports = { host, wasi_snapshot_preview1: systemCalls(() => memory) };
    const instance = await WebAssembly.instantiate(module, imports);
    const core = instance.exports as unknown as Exports;
    memory = core.memory;
    core._initialize();
    return new Core(core);
  }

  /** Every cycle of one graph, its edges ascending. */
  solve(graph: Graph): number[][] {
    this.#prepare(graph);
    return this.#with([GRAPH_BYTES, MAX_CYCLES * graph.proof_size * 4, 4], (at, cycles, found) => {
      const view = this.#view();
      fromHex(graph.keys).forEach((byte, index) => view.setUint8(at + index, byte));
      const words = [graph.edge_bits, ...graph.rounds, graph.proof_size, graph.cycle];
      words.forEach((word, index) => view.setUint32(at + 32 + 4 * index, word, true));
      const { address } = this.#solver;
      this.#check(this.#core.farmcpu_solve(address, at, 0, cycles, MAX_CYCLES, found));
      const count = this.#view().getUint32(found, true);
      const size = graph.proof_size;
      return Array.from({ length: count }, (_, index) => [
        ...new Uint32Array(this.#core.memory.buffer, cycles + 4 * size * index, size),
      ]);
    });
  }

  /** Run one input (little-endian int32) through a program; the heads one after another. */
  run(program: Program, input: Uint8Array): Uint8Array {
    const handle = this.#load(program);
    try {
      const bytes = 4 * this.#core.farmcpu_program_output_words(handle);
      return this.#with([input.length, bytes], (given, answer) => {
        this.#bytes(given, input.length).set(input);
        const words = input.length / 4;
        this.#check(this.#core.farmcpu_program_run(handle, given, words, answer, bytes / 4));
        return this.#bytes(answer, bytes).slice();
      });
    } finally {
      this.#core.farmcpu_program_free(handle);
    }
  }

  #load(program: Program): number {
    const text = new TextEncoder().encode(program.text);
    const parameters = fromBase64(program.parameters);
    return this.#with([text.length, parameters.length, 4], (words, constants, status) => {
      this.#bytes(words, text.length).set(text);
      this.#bytes(constants, parameters.length).set(parameters);
      const count = parameters.length / 4;
      const limit = MEMORY_LIMIT_BYTES;
      const core = this.#core;
      return core.farmcpu_program_load(words, text.length, constants, count, limit, status, 0, 0);
    });
  }

  #prepare({ edge_bits: edgeBits, cycle }: Graph): void {
    const ready = this.#solver;
    if (ready.address && ready.edgeBits === edgeBits && ready.cycle === cycle) return;
    if (ready.address) this.#core.farmcpu_solver_free(ready.address);
    const address = this.#core.farmcpu_solver_create(edgeBits, cycle, MEAN, 1, MEMORY_LIMIT_BYTES);
    if (!address) throw new CoreFailure(`no memory for graphs of ${edgeBits} edge bits`);
    this.#solver = { edgeBits, cycle, address };
  }

  /** Lend blocks of the core's memory to `use`. */
  #with<T>(sizes: number[], use: (...addresses: number[]) => T): T {
    const addresses = sizes.map((bytes) => this.#core.malloc(Math.max(bytes, 1)));
    if (addresses.includes(0)) throw new CoreFailure("out of memory");
    const answer = use(...addresses);
    addresses.forEach((address) => this.#core.free(address));
    return answer;
  }

  #check(status: number): void {
    if (status !== 0) throw new CoreFailure(`the core answered with status ${status}`);
  }

  #view(): DataView {
    return new DataView(this.#core.memory.buffer);
  }

  #bytes(address: number, count: number): Uint8Array {
    return new Uint8Array(this.#core.memory.buffer, address, count);
  }
}

/** The few calls of the system that the core's library makes: it has none of what they ask. */
function systemCalls(memory: () => WebAssembly.Memory | null) {
  const none = 52; // ENOSYS
  const zeros = (...addresses: number[]) => {
    const held = memory();
    if (held) for (const at of addresses) new DataView(held.buffer).setUint32(at, 0, true);
    return 0;
  };
  return {
    environ_sizes_get: zeros,
    environ_get: () => 0,
    clock_time_get: (_id: number, _precision: bigint, at: number) => {
      const held = memory();
      const nanoseconds = BigInt(Math.round(performance.now() * 1e6));
      if (held) new DataView(held.buffer).setBigUint64(at, nanoseconds, true);
      return 0;
    },
    fd_write: () => none,
    fd_seek: () => none,
    fd_close: () => none,
    proc_exit: (status: number) => {
      throw new CoreFailure(`the core ended with status ${status}`);
    },
  };
}

function readWords(memory: WebAssembly.Memory | null, address: number): string {
  if (!memory) return "the core could not start";
  const bytes = new Uint8Array(memory.buffer, address, 512);
  return new TextDecoder().decode(bytes.slice(0, Math.max(0, bytes.indexOf(0))));
}

function fromHex(text: string): number[] {
  return Array.from({ length: text.length / 2 }, (_, i) => parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

/** The farm writes base64 in the form for addresses. */
export function fromBase64(text: string): Uint8Array {
  const usual = text.replaceAll("-", "+").replaceAll("_", "/");
  return Uint8Array.from(atob(usual), (letter) => letter.charCodeAt(0));
}

export function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_");
}
