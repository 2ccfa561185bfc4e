import { JobStatus } from "../../../shared/states.js";
import type { TestCluster } from "../../harness/cluster.js";
import { editDatabase } from "../../harness/manager-database.js";
import { patient } from "./volumes.js";

/** A job that has failed often waits longer than any test. */
export const endlessPauses = { ...patient, max_retry_pause: 36_000 };

const LONG_AFTER_MS = 36_000_000;

/** A job is as it would be after many attempts that failed: it waits for the next one. Restarts the manager. */
export function postpone(cluster: TestCluster, kind: "shred" | "resync", subject: number): Promise<void> {
  return editDatabase(cluster, (database) =>
    database
      .prepare(
        `UPDATE job SET status = ?, run_at = ?, attempts = 20, last_error = 'not now'
          WHERE kind = ? AND subject = ? AND finished_at IS NULL`,
      )
      .run(JobStatus.PENDING, Date.now() + LONG_AFTER_MS, kind, subject),
  );
}
