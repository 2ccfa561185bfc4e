/**
 * Lets a test ask a control process how much memory it holds. It is loaded by `NODE_OPTIONS=--import`, so that the product
 * knows nothing of it: at SIGUSR2, which the manager has no use for, garbage is collected and a report is written to the
 * file named by VAS_HEAP_REPORT (see heap-probe.ts).
 */
import { renameSync, writeFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { setImmediate as nextTurn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";

const path = process.env.VAS_HEAP_REPORT;
// Not for the programs that this process starts.
delete process.env.VAS_HEAP_REPORT;
delete process.env.NODE_OPTIONS;

const NS_PER_MS = 1e6;
/** What is let go by a finalizer is only free after the next collection. */
const COLLECTIONS = 3;

if (path !== undefined) {
  setFlagsFromString("--expose-gc");
  const collect = runInNewContext("gc");
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  process.on("SIGUSR2", async () => {
    const longestTurnMs = delay.max / NS_PER_MS;
    for (let done = 0; done < COLLECTIONS; done += 1) {
      collect();
      await nextTurn();
    }
    const { heapUsed, external, rss } = process.memoryUsage();
    writeFileSync(`${path}.new`, JSON.stringify({ heapUsed, external, rss, longestTurnMs }));
    renameSync(`${path}.new`, path);
    delay.reset();
  });
}
