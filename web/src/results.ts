/** What a job has left: files named by their SHA-256, and figures. */

type Named = [name: string, value: string];

export function splitResults(results: Record<string, string>): { files: Named[]; figures: Named[] } {
  const isFile = ([, value]: Named) => /^[0-9a-f]{64}$/.test(value);
  const all = Object.entries(results);
  return { files: all.filter(isFile), figures: all.filter((named) => !isFile(named)) };
}
