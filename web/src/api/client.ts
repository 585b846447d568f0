/** The one way to the HTTP API. Bodies and paths are typed by the generated `schema.d.ts`. */
import createClient from "openapi-fetch";
import type { paths } from "./schema";

const TIMEOUT_MS = 15_000;

/** An answer that is not the one asked for; `message` says what to do. */
export class ApiError extends Error {
  constructor(
    message: string,
    readonly status: number,
  ) {
    super(message);
  }
}

type Listener = () => void;
let onSignedOut: Listener = () => undefined;

/** Call `listener` whenever the API says that nobody is signed in. */
export function watchSignOut(listener: Listener): void {
  onSignedOut = listener;
}

/** Sent with every request: it proves to the API that no foreign page made it. */
export const HEADERS = { "X-Farmctl": "1" };

export const api = createClient<paths>({
  baseUrl: globalThis.location?.origin ?? "",
  headers: HEADERS,
  fetch: (request) => fetch(request, { signal: AbortSignal.timeout(TIMEOUT_MS) }),
});

interface Answer<T> {
  data?: T;
  error?: unknown;
  response: Response;
}

/** The body of an answer; an `ApiError` when it is a problem or did not come at all. */
export async function take<T>(pending: Promise<Answer<T>>): Promise<T> {
  let answer: Answer<T>;
  try {
    answer = await pending;
  } catch {
    throw new ApiError("The controller does not answer. Is farmctl up?", 0);
  }
  if (answer.response.status === 401) onSignedOut();
  if (answer.data === undefined) {
    throw new ApiError(readProblem(answer.error, answer.response.status), answer.response.status);
  }
  return answer.data;
}

function readProblem(body: unknown, status: number): string {
  if (typeof body === "object" && body !== null && "message" in body) return String(body.message);
  return `The controller answered with status ${status}.`;
}
