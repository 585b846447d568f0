/** The address bar as state; links inside the dashboard change it without a reload. */
export const place = $state({ path: location.pathname, query: location.search });

function read(): void {
  place.path = location.pathname;
  place.query = location.search;
}

export function go(address: string, replace = false): void {
  if (replace) history.replaceState(null, "", address);
  else history.pushState(null, "", address);
  read();
  if (!replace) window.scrollTo(0, 0);
}

export function query(name: string): string {
  return new URLSearchParams(place.query).get(name) ?? "";
}

/** Change one query parameter in place; an empty value removes it. */
export function setQuery(name: string, value: string): void {
  const parameters = new URLSearchParams(place.query);
  if (value) parameters.set(name, value);
  else parameters.delete(name);
  const text = parameters.toString();
  go(place.path + (text ? `?${text}` : ""), true);
}

function follow(event: MouseEvent): void {
  const modified = event.metaKey || event.ctrlKey || event.shiftKey || event.altKey;
  if (event.defaultPrevented || event.button !== 0 || modified) return;
  const link = (event.target as Element).closest("a");
  if (!link || link.target || link.hasAttribute("download")) return;
  if (link.origin !== location.origin || link.pathname.startsWith("/v1/")) return;
  event.preventDefault();
  go(link.pathname + link.search);
}

/** Listen for as long as the page lives. */
export function startRouter(): void {
  window.addEventListener("popstate", read);
  document.addEventListener("click", follow);
}
