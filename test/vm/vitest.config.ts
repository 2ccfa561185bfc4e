import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    include: ["test/vm/**/*.test.ts"],
    globalSetup: ["test/vm/build-image.ts"],
    pool: "forks",
    // A machine is emulated: two at a time would only take twice as long.
    fileParallelism: false,
    // Long: on a host with much else to do a machine computes ten times slower still.
    testTimeout: 1_800_000,
    hookTimeout: 600_000,
  },
});
