/** Something fetched from the API: its value, whether it is on its way, and what went wrong. */
import { untrack } from "svelte";
import { ApiError } from "../api/client";

export class Resource<T> {
  value = $state.raw<T | null>(null);
  /** Why the last fetch failed; empty when it did not. The value before it is kept. */
  problem = $state("");
  status = $state(0);
  loading = $state(false);
  #fetch: () => Promise<T>;
  #again = false;

  constructor(fetch: () => Promise<T>) {
    this.#fetch = fetch;
  }

  /** Fetch anew. A call while one is under way makes it run once more, not twice at a time. */
  async refresh(): Promise<void> {
    // Unseen by an effect that calls this, or each fetch would call for the next one.
    if (untrack(() => this.loading)) {
      this.#again = true;
      return;
    }
    this.loading = true;
    try {
      this.value = await this.#fetch();
      this.problem = "";
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.problem = error.message;
      this.status = error.status;
    } finally {
      this.loading = false;
    }
    if (this.#again) {
      this.#again = false;
      await this.refresh();
    }
  }

  /** Change the value by a live message; before the first fetch there is nothing to change. */
  change(by: (value: T) => T): void {
    if (this.value !== null) this.value = by(this.value);
  }
}

/** Refresh now and each `seconds` while the component that calls it is shown. */
export function poll(resource: Resource<unknown>, seconds: number): void {
  $effect(() => {
    void resource.refresh();
    const timer = setInterval(() => void resource.refresh(), seconds * 1000);
    return () => clearInterval(timer);
  });
}
