/** Keeps one connection to /v1/stream open, and says how it stands. */
import { HEADERS } from "../api/client";
import { reconnectDelay, splitEvents, type StreamEvent } from "./events";

/** The API sends at least a comment this often; silence means that the connection is dead. */
const SILENCE_MS = 20_000;
const MAX_EVENT_CHARACTERS = 4_000_000;

export interface StreamListener {
  onOpen(): void;
  onEvent(event: StreamEvent): void;
  onLost(signedOut: boolean): void;
}

/** Connect, and reconnect with growing pauses until the returned function is called. */
export function openStream(listener: StreamListener): () => void {
  const stop = new AbortController();
  void keepConnected(listener, stop.signal);
  return () => stop.abort();
}

async function keepConnected(listener: StreamListener, stopped: AbortSignal): Promise<void> {
  let attempt = 0;
  const opened = () => {
    attempt = 0;
    listener.onOpen();
  };
  while (!stopped.aborted) {
    const signedOut = await readStream(listener, opened, stopped);
    if (stopped.aborted) return;
    listener.onLost(signedOut);
    await wait(reconnectDelay(attempt++, Math.random()), stopped);
  }
}

/** Read until the connection ends. True when it was refused because nobody is signed in. */
async function readStream(
  listener: StreamListener,
  opened: () => void,
  stopped: AbortSignal,
): Promise<boolean> {
  const silence = new AbortController();
  const signal = AbortSignal.any([stopped, silence.signal]);
  let timer = setTimeout(() => silence.abort(), SILENCE_MS);
  try {
    const response = await fetch("/v1/stream", {
      headers: { ...HEADERS, Accept: "text/event-stream" },
      cache: "no-store",
      signal,
    });
    if (!response.ok || !response.body) return response.status === 401;
    opened();
    const decoded = response.body.pipeThrough(new TextDecoderStream());
    let rest = "";
    for await (const text of chunksOf(decoded)) {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENCE_MS);
      const split = splitEvents(rest + text);
      rest = split.rest.length > MAX_EVENT_CHARACTERS ? "" : split.rest;
      split.events.forEach(listener.onEvent);
    }
  } catch (error) {
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
  } finally {
    clearTimeout(timer);
  }
  return false;
}

/** Safari cannot iterate a stream by itself. */
async function* chunksOf(stream: ReadableStream<string>): AsyncGenerator<string> {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function wait(milliseconds: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    stopped.addEventListener("abort", () => (clearTimeout(timer), resolve()), { once: true });
    globalThis.addEventListener?.("online", () => (clearTimeout(timer), resolve()), { once: true });
  });
}
