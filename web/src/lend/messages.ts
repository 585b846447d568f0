/** What is said over the connection at /v1/lend (farmctl/browsers/messages.py). */
import type { Graph } from "./core";

/** Work from the farm. A search takes the place of the one before. */
export interface Search extends Omit<Graph, "keys"> {
  kind: "search";
  id: number;
  /** One graph each. */
  keys: string[];
}
export interface Infer {
  kind: "infer";
  id: number;
  text: string;
  parameters: string;
  input: string;
}
export interface Rest {
  kind: "rest";
}
export interface Standing {
  kind: "standing";
  device: string;
  workload: string;
  detail: string;
  proved: boolean;
  shares_accepted: number;
  shares_refused: number;
  answers_right: number;
  answers_wrong: number;
}
export interface Refused {
  kind: "refused";
  reason: string;
}
export type Work = Search | Infer | Rest;
export type FromFarm = Work | Standing | Refused;

/** What the browser answers. */
export type Finding =
  | { kind: "found"; id: number; graph: number; edges: number[] }
  | { kind: "searched"; id: number; graphs: number }
  | { kind: "inferred"; id: number; output: string }
  | { kind: "failed"; id: number; detail: string };
export type FromBrowser =
  | Finding
  | { kind: "hello"; hardware_id: string; model: string; cores: number; memory_bytes: number | null }
  | { kind: "paused"; reason: string };

/** From the page to its worker, and back. */
export type ToWorker = Work | { kind: "load"; percent: number } | { kind: "pause"; paused: boolean };
export type FromWorker = Finding | { kind: "ready" } | { kind: "broken"; detail: string };
