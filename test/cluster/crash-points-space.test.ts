import { test } from "vitest";
import { KIND_TEST_MS } from "./crash/job-kind.js";
import { replace, resync, shred } from "./crash/kinds.js";
import { runKind } from "./crash/run-kind.js";

for (const kind of [resync, replace, shred]) {
  test(
    `a job that is stopped at any point ends as if it had not been: ${kind.name}`,
    () => runKind(kind),
    KIND_TEST_MS,
  );
}
