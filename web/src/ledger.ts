/** The ledger's entries as the transactions that they are sides of. */
import type { LedgerEntry } from "./api/views";

export interface LedgerTransaction {
  key: string;
  time: number;
  text: string;
  entries: LedgerEntry[];
}

/** Entries come newest first, those of one transaction side by side; they keep that order. */
export function groupEntries(entries: LedgerEntry[]): LedgerTransaction[] {
  const grouped: LedgerTransaction[] = [];
  for (const entry of entries) {
    const last = grouped.at(-1);
    if (last?.key === entry.transaction) last.entries.push(entry);
    else {
      const { transaction: key, time, text } = entry;
      grouped.push({ key, time, text, entries: [entry] });
    }
  }
  return grouped;
}
