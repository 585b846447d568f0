import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [svelte()],
  build: { outDir: "../farmctl/web_dist", emptyOutDir: true, target: "es2022" },
  // `npm run dev` beside a running farm: FARMCTL_API is its address.
  server: { proxy: { "/v1": process.env.FARMCTL_API ?? "http://127.0.0.1:8420" } },
  test: { include: ["tests/**/*.test.ts"], environment: "node" },
});
