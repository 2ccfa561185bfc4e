import { type Kysely, sql } from "kysely";

/**
 * iSCSI. A disk has the name of its storage server, which is another one when that has started again; empty if the disk is
 * reached by NBD. A head server has the secret by which storage servers know it; empty until it registers.
 */
const statements = [
  `ALTER TABLE disk ADD COLUMN iscsi_name TEXT NOT NULL DEFAULT ''`,
  `CREATE INDEX disk_iscsi ON disk (pdskid) WHERE iscsi_name <> ''`,
  `ALTER TABLE head_server ADD COLUMN chap_secret TEXT NOT NULL DEFAULT ''`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
