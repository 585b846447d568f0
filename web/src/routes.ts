/** Which page an address is, without the browser. */

export type Parameters = Record<string, string>;

/** The parameters of `path` under `pattern` (`/devices/:rig/:device`), or null if it is another. */
export function matchRoute(pattern: string, path: string): Parameters | null {
  const expected = split(pattern);
  const actual = split(path);
  if (expected.length !== actual.length) return null;
  const parameters: Parameters = {};
  for (const [index, part] of expected.entries()) {
    const given = actual[index] ?? "";
    if (part.startsWith(":")) parameters[part.slice(1)] = decode(given);
    else if (part !== given) return null;
  }
  return parameters;
}

const split = (path: string) => path.split("/").filter((part) => part !== "");

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch (error) {
    if (error instanceof URIError) return part;
    throw error;
  }
}

/** Whether a name has the form of a device's key, `rig/family:index`. */
export const isDeviceKey = (name: string) => /^[^/]+\/[a-z]+:\d+$/.test(name);

/** Address of a device's page from its key `rig/family:index`. */
export function deviceAddress(key: string): string {
  return `/devices/${key.split("/").map(encodeURIComponent).join("/").replaceAll("%3A", ":")}`;
}
