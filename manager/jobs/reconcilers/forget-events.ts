import { setImmediate as nextTurn } from "node:timers/promises";
import { forgetOldEvents } from "../../operations/forget-old-events.js";
import type { Executor } from "../../operations/operation.js";

/** Batches of one run, a few seconds' worth; what is left then is forgotten by the next one. */
const MAX_BATCHES = 400;

/** Forgets what happened too long ago, in batches, so that calls of clients come in between. */
export async function forgetEvents(executor: Executor): Promise<void> {
  for (let batch = 0; batch < MAX_BATCHES; batch += 1) {
    if (!(await executor.runQuietly(forgetOldEvents, {}))) return;
    // SQLite answers at once, so nothing else would come in between until all are gone.
    await nextTurn();
  }
}
