import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { sendSignal } from "../../cli/local/processes.js";
import type { TestServer } from "./test-server.js";
import { waitUntil } from "./wait-until.js";

/** What a process holds right after a garbage collection, in bytes. */
export interface HeapReport {
  readonly heapUsed: number;
  /** Buffers and the like, outside the heap. */
  readonly external: number;
  readonly rss: number;
  /** The longest time since the last report in which its event loop did nothing else. */
  readonly longestTurnMs: number;
}

const preload = fileURLToPath(new URL("heap-preload.mjs", import.meta.url));

/** The memory and the descriptors of one server's control process. */
export class HeapProbe {
  readonly #report: string;

  /** Takes effect at the server's next start. */
  constructor(readonly server: TestServer) {
    this.#report = join(server.plan.folder, "heap-report.json");
    server.moreEnvironment = { NODE_OPTIONS: `--import=${preload}`, VAS_HEAP_REPORT: this.#report };
  }

  async measure(): Promise<HeapReport> {
    rmSync(this.#report, { force: true });
    sendSignal(this.server.control(), "SIGUSR2");
    await waitUntil("the heap is reported", () => existsSync(this.#report));
    return JSON.parse(readFileSync(this.#report, "utf8"));
  }

  /** How many files and sockets it has open. */
  descriptors(): number {
    const [control] = this.server.control();
    if (control === undefined) throw new Error(`${this.server.plan.name} does not run`);
    return readdirSync(`/proc/${control.pid}/fd`).length;
  }
}
