import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    include: ["test/**/*.test.ts"],
    globalSetup: ["test/harness/global-setup.ts"],
    pool: "forks",
    // Each cluster is a dozen processes.
    maxWorkers: 2,
    // Long: a machine that is starved of processor time for a minute is no defect of ours.
    testTimeout: 600_000,
    hookTimeout: 300_000,
  },
});
