import { type Kysely, sql } from "kysely";

/**
 * What happened can be listed: a job says in words what it is about, because an extent or a volume may be gone when
 * someone asks. Finished jobs are kept for days, so that whatever looks for open ones must not meet them: among 100,000,
 * finding an open job took 8 ms, and takes 0.1 ms by `job_of_status` (bench/list-events.mjs).
 */
const statements = [
  `ALTER TABLE job ADD COLUMN description TEXT NOT NULL DEFAULT ''`,
  `UPDATE job SET description =
     printf('%s-%08x', CASE WHEN kind IN ('resync', 'shred') THEN 'dext' ELSE 'lvol' END, subject)`,
  `CREATE INDEX job_of_status ON job (status, kind, subject)`,
  `CREATE INDEX job_open_since ON job (status, created_at) WHERE finished_at IS NULL`,
  `CREATE INDEX job_history ON job (created_at) WHERE finished_at IS NOT NULL`,
  `CREATE INDEX event_time ON event (time)`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
