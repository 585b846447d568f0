import type { State } from "../api/views";

export const STATES: State[] = ["healthy", "attention", "offline", "paused"];

export const STATE_NAMES: Record<State, string> = {
  healthy: "Healthy",
  attention: "Needs attention",
  offline: "Offline",
  paused: "Paused",
};
