import { test } from "vitest";
import { KIND_TEST_MS } from "./crash/job-kind.js";
import { deleteSnapshot, takeSnapshot } from "./crash/kinds.js";
import { runKind } from "./crash/run-kind.js";

for (const kind of [takeSnapshot, deleteSnapshot]) {
  test(
    `a job that is stopped at any point ends as if it had not been: ${kind.name}`,
    () => runKind(kind),
    KIND_TEST_MS,
  );
}
