/** Signing in: a token is exchanged once for a cookie that scripts cannot read. */
import { api, HEADERS } from "../api/client";
import { loadSession, session } from "./farm.svelte";

/** Why it failed, in words; empty when the caller is signed in. */
export async function signIn(token: string): Promise<string> {
  try {
    const response = await fetch("/v1/session", {
      method: "POST",
      headers: { ...HEADERS, Authorization: `Bearer ${token}` },
      signal: AbortSignal.timeout(10_000),
    });
    if (response.status === 401) return "This token is not known. Paste it whole, without quotes.";
    if (!response.ok) return `The controller answered with status ${response.status}.`;
    await loadSession();
  } catch {
    return "The controller does not answer. Is farmctl up?";
  }
  return session.signedOut ? "The browser did not keep the session's cookie." : "";
}

/** End this browser's session; the sign-in page follows, also when the controller is down. */
export async function signOut(): Promise<void> {
  try {
    await api.DELETE("/v1/session");
  } finally {
    session.signedOut = true;
  }
}
