import { appendFileSync, cpSync, existsSync, mkdirSync, mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestCluster } from "../../harness/cluster.js";

const KEPT = 5000;
/** Of one file: logs and databases are smaller, disks are not. */
const COPIED = /(^|\/)(log|[^/]*\.(log|db|db-wal|conf|json))$/;

/** What was done and what was seen, for the report of a failure. */
export class Journal {
  readonly #started = performance.now();
  #lines: string[] = [];

  readonly note = (text: string): void => {
    this.#lines.push(`${((performance.now() - this.#started) / 1000).toFixed(2).padStart(8)} ${text}`);
    if (this.#lines.length >= 2 * KEPT) this.#lines = this.#lines.slice(-KEPT);
  };

  /** The newest notes. */
  last(count: number): string[] {
    return this.#lines.slice(-count);
  }

  /** The faults that were last begun or ended. */
  lastFaults(count: number): string[] {
    return this.#lines.filter((line) => /^ *[\d.]+ (fault|over) /.test(line)).slice(-count);
  }

  /** Copies notes, logs and the manager's database to a folder that stays. @returns the folder */
  keep(cluster: TestCluster): string {
    const folder = mkdtempSync(join(tmpdir(), "vastsky-chaos-"));
    appendFileSync(join(folder, "notes"), `${this.#lines.join("\n")}\n`);
    for (const { plan } of cluster.servers) {
      const to = join(folder, plan.name);
      mkdirSync(to, { recursive: true });
      if (existsSync(plan.folder))
        cpSync(plan.folder, to, {
          recursive: true,
          filter: (path) => !path.includes("/disk-") && (COPIED.test(path) || !/\.[a-z]+$/.test(path)),
        });
    }
    const database = String(cluster.manager.plan.conf.storage_manager?.database);
    for (const path of [database, `${database}-wal`])
      if (existsSync(path)) cpSync(path, join(folder, path.replace(/^.*\//, "")));
    return folder;
  }
}
