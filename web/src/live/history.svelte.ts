/** A live list and, when asked for, what came before it: newest first, bounded. */
import { untrack } from "svelte";
import { ApiError } from "../api/client";
import { joinOlder } from "./reduce";

/** Most rows that one list shows; who looks further back narrows it down. */
export const MOST_ROWS = 1000;

export interface HistorySource<T> {
  /** What is known without asking; changes as the farm does. */
  live: () => T[];
  /** How many of them the first page holds at most: fewer means that there is nothing older. */
  first: () => number;
  /** The next page of rows behind the last one. */
  fetchOlder: (last: T) => Promise<T[]>;
  /** How many a page holds: fewer means that it was the last. */
  page: number;
  isOlder: (row: T, than: T) => boolean;
}

export class History<T> {
  #source: HistorySource<T>;
  #older = $state.raw<T[]>([]);
  #ended = $state(false);
  problem = $state("");
  loading = $state(false);
  rows = $derived.by(() => this.#join(this.#source.live()));
  hasOlder = $derived.by(
    () => !this.#ended && this.rows.length >= this.#source.first() && this.rows.length < MOST_ROWS,
  );

  constructor(source: HistorySource<T>) {
    this.#source = source;
    // The live list lets go of its tail as it grows; what is shown already stays.
    $effect(() => {
      const live = source.live();
      untrack(() => {
        if (this.#older.length) this.#older = this.#join(live);
      });
    });
  }

  /** Fetch the next page. A failure is shown and changes nothing. */
  async load(): Promise<void> {
    const last = this.rows.at(-1);
    if (last === undefined || this.loading) return;
    this.loading = true;
    try {
      const found = await this.#source.fetchOlder(last);
      this.#older = [...this.rows, ...found];
      this.#ended = found.length < this.#source.page;
      this.problem = "";
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.problem = error.message;
    } finally {
      this.loading = false;
    }
  }

  /** Change rows that are out of the live list's reach. */
  change(by: (rows: T[]) => T[]): void {
    if (this.#older.length) this.#older = by(this.#older);
  }

  #join(live: T[]): T[] {
    return joinOlder(live, this.#older, this.#source.isOlder).slice(0, MOST_ROWS);
  }
}
