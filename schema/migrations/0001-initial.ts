import { type Kysely, sql } from "kysely";

/**
 * The first schema. Written out as SQL, because a migration must go on meaning the same when the row types change.
 * Uniqueness and capacity rules are constraints here as well as code.
 */
const statements = [
  `CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL)`,
  `CREATE TABLE sequence (name TEXT PRIMARY KEY, next INTEGER NOT NULL CHECK (next >= 1))`,
  `CREATE TABLE head_server (
     hsvrid INTEGER PRIMARY KEY, priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 6),
     port INTEGER NOT NULL, boot_id TEXT, silent INTEGER NOT NULL DEFAULT 0)`,
  `CREATE TABLE storage_server (
     ssvrid INTEGER PRIMARY KEY, priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 6),
     port INTEGER NOT NULL, boot_id TEXT, zone TEXT NOT NULL DEFAULT '',
     silent INTEGER NOT NULL DEFAULT 0, lost INTEGER NOT NULL DEFAULT 0)`,
  `CREATE TABLE server_address (
     kind TEXT NOT NULL CHECK (kind IN ('head', 'storage')), address TEXT NOT NULL,
     server_id INTEGER NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (kind, address))`,
  `CREATE INDEX server_address_of ON server_address (kind, server_id, position)`,
  `CREATE TABLE disk (
     pdskid INTEGER PRIMARY KEY, ssvrid INTEGER NOT NULL REFERENCES storage_server (ssvrid),
     local_path TEXT NOT NULL, serial TEXT UNIQUE, sectors INTEGER NOT NULL,
     capacity INTEGER NOT NULL CHECK (capacity >= 1), priority INTEGER NOT NULL CHECK (priority BETWEEN 1 AND 6),
     nbd_port INTEGER NOT NULL, generation INTEGER NOT NULL DEFAULT 0, bad_blocks INTEGER NOT NULL DEFAULT 0,
     UNIQUE (ssvrid, local_path))`,
  `CREATE TABLE free_range (
     pdskid INTEGER NOT NULL REFERENCES disk (pdskid), offset INTEGER NOT NULL CHECK (offset >= 0),
     length INTEGER NOT NULL CHECK (length >= 1), PRIMARY KEY (pdskid, offset)) WITHOUT ROWID`,
  `CREATE TABLE volume (
     lvolid INTEGER PRIMARY KEY, lvolname TEXT NOT NULL UNIQUE, linearid INTEGER NOT NULL UNIQUE,
     redundancy INTEGER NOT NULL CHECK (redundancy BETWEEN 2 AND 9),
     capacity INTEGER NOT NULL CHECK (capacity BETWEEN 1 AND 1048576), ctime INTEGER NOT NULL,
     bind_status INTEGER NOT NULL CHECK (bind_status BETWEEN 0 AND 2),
     bind_event INTEGER NOT NULL CHECK (bind_event BETWEEN 0 AND 2), bind_error TEXT NOT NULL DEFAULT '',
     hsvrid INTEGER REFERENCES head_server (hsvrid), epoch INTEGER NOT NULL DEFAULT 0,
     epoch_open INTEGER NOT NULL DEFAULT 0,
     bind_number INTEGER NOT NULL DEFAULT 0, grant_version INTEGER NOT NULL DEFAULT 0,
     CHECK ((bind_status = 0 AND bind_event = 0) = (hsvrid IS NULL)))`,
  `CREATE INDEX volume_of_head ON volume (hsvrid) WHERE hsvrid IS NOT NULL`,
  `CREATE TABLE mirror (
     mirrorid INTEGER PRIMARY KEY, lvolid INTEGER NOT NULL REFERENCES volume (lvolid),
     offset INTEGER NOT NULL, length INTEGER NOT NULL CHECK (length >= 1), version INTEGER NOT NULL DEFAULT 1,
     UNIQUE (lvolid, offset))`,
  `CREATE TABLE extent (
     dextid INTEGER PRIMARY KEY, pdskid INTEGER NOT NULL REFERENCES disk (pdskid),
     offset INTEGER NOT NULL CHECK (offset >= 0), length INTEGER NOT NULL CHECK (length >= 1),
     generation INTEGER NOT NULL, mirrorid INTEGER REFERENCES mirror (mirrorid),
     status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5), failures INTEGER NOT NULL DEFAULT 0,
     lost INTEGER NOT NULL DEFAULT 0, last_lvolid INTEGER, UNIQUE (pdskid, offset), CHECK ((status = 5) = (mirrorid IS NULL)))`,
  `CREATE INDEX extent_of_mirror ON extent (mirrorid) WHERE mirrorid IS NOT NULL`,
  `CREATE INDEX extent_unshredded ON extent (pdskid, offset) WHERE status = 5`,
  `CREATE INDEX extent_not_good ON extent (mirrorid) WHERE status IN (3, 4)`,
  `CREATE TABLE job (
     jobid INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, subject INTEGER NOT NULL,
     eventid INTEGER NOT NULL, status INTEGER NOT NULL CHECK (status BETWEEN 1 AND 5), phase TEXT NOT NULL,
     payload TEXT NOT NULL, holder INTEGER, attempts INTEGER NOT NULL DEFAULT 0,
     last_error TEXT NOT NULL DEFAULT '', run_at INTEGER NOT NULL, created_at INTEGER NOT NULL,
     finished_at INTEGER, result TEXT NOT NULL DEFAULT '')`,
  `CREATE UNIQUE INDEX job_open ON job (kind, subject) WHERE status IN (1, 2)`,
  `CREATE INDEX job_finished ON job (finished_at) WHERE finished_at IS NOT NULL`,
  `CREATE INDEX job_due ON job (run_at) WHERE status = 1`,
  `CREATE TABLE event (
     seq INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, eventid INTEGER NOT NULL, target INTEGER NOT NULL,
     targetid INTEGER NOT NULL, event INTEGER NOT NULL, event_status INTEGER NOT NULL, sentence TEXT NOT NULL)`,
  `INSERT INTO sequence (name, next) VALUES ('hsvr', 1), ('ssvr', 1), ('pdsk', 1), ('lvol', 1), ('event', 1), ('bind', 1)`,
] as const;

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of statements) await sql.raw(statement).execute(db);
}
