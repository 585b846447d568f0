// Lets the installed app open while the controller is down: the page itself comes from here,
// everything that is measured comes from the API and is never kept.
const CACHE = "farmctl";
const MOST_KEPT = 60;

self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== self.location.origin) return;
  if (request.mode === "navigate" && pathname !== "/login") event.respondWith(openPage(request));
  // Names under assets/ carry a hash of their content, so a copy is never out of date.
  else if (pathname.startsWith("/assets/")) event.respondWith(openAsset(request));
});

async function openPage(request) {
  const cache = await caches.open(CACHE);
  try {
    const answer = await fetch(request);
    if (answer.ok) await cache.put("/", answer.clone());
    return answer;
  } catch (error) {
    const kept = await cache.match("/");
    if (!kept) throw error;
    return kept;
  }
}

async function openAsset(request) {
  const cache = await caches.open(CACHE);
  const kept = await cache.match(request);
  if (kept) return kept;
  const answer = await fetch(request);
  if (answer.ok) {
    await cache.put(request, answer.clone());
    const keys = await cache.keys();
    await Promise.all(keys.slice(0, Math.max(0, keys.length - MOST_KEPT)).map((k) => cache.delete(k)));
  }
  return answer;
}
