/** The registry of pages: each file in `pages/` exports its `page`; nothing else is edited. */
import type { Component } from "svelte";
import type { IconName } from "./components/icons";
import { matchRoute, type Parameters } from "./routes";

export interface Page {
  /** Path pattern, e.g. `/rigs/:rig`. */
  route: string;
  title: string;
  icon: IconName;
  /** Place in the navigation; a page without one is reached by links alone. */
  order?: number;
}

interface PageModule {
  page: Page;
  default: Component<{ parameters: Parameters }>;
}

const modules = import.meta.glob<PageModule>("./pages/*.svelte", { eager: true });
const registered = Object.values(modules);

export const navigation: Page[] = registered
  .map((module) => module.page)
  .filter((page) => page.order !== undefined)
  .sort((a, b) => (a.order ?? 0) - (b.order ?? 0));

export function findPage(path: string) {
  for (const module of registered) {
    const parameters = matchRoute(module.page.route, path);
    if (parameters) return { ...module, parameters };
  }
  return null;
}

/** The navigation entry that `path` belongs to: the longest route that it begins with. */
export function findSection(path: string): Page | undefined {
  const under = (page: Page) => page.route !== "/" && path.startsWith(page.route);
  return navigation.find(under) ?? navigation.find((page) => page.route === path);
}
