import { sql } from "kysely";
import type { ExtentRow } from "../../schema/tables.js";
import { JobStatus, MemberStatus, Priority } from "../../shared/states.js";
import { raiseGeneration } from "./disks.js";
import type { Tx } from "./open-store.js";

export type { ExtentRow };

/** Rows of disk extents: members of mirrors, and space that waits for its shred. */
export interface MemberRow extends ExtentRow {
  readonly mirrorid: number;
  readonly ssvrid: number;
  readonly disk_priority: Priority;
  readonly nbd_port: number;
  readonly iscsi_name: string;
  readonly server_priority: Priority;
  /** Its disk or its server is being evacuated. */
  readonly evacuating: 0 | 1;
}

export async function findExtent(tx: Tx, dextid: number): Promise<ExtentRow | undefined> {
  return tx.selectFrom("extent").selectAll().where("dextid", "=", dextid).executeTakeFirst();
}

/** Members of mirrors with what their disks tell; to be narrowed by the caller to extents that have a mirror. */
export const memberQuery = (tx: Tx) =>
  tx
    .selectFrom("extent")
    .innerJoin("disk", "disk.pdskid", "extent.pdskid")
    .innerJoin("storage_server", "storage_server.ssvrid", "disk.ssvrid")
    .selectAll("extent")
    .select(["disk.ssvrid", "disk.priority as disk_priority", "disk.nbd_port", "disk.iscsi_name"])
    .select("storage_server.priority as server_priority")
    .select(sql<0 | 1>`disk.evacuating <> 0 OR storage_server.evacuating <> 0`.as("evacuating"))
    .$narrowType<{ mirrorid: number }>();

/** Members of one mirror, by id. */
export async function membersOfMirror(tx: Tx, mirrorid: number): Promise<MemberRow[]> {
  return memberQuery(tx).where("extent.mirrorid", "=", mirrorid).orderBy("extent.dextid").execute();
}

/** Members of all mirrors of a volume, by id. */
export async function membersOfVolume(tx: Tx, lvolid: number): Promise<MemberRow[]> {
  return memberQuery(tx)
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .where("mirror.lvolid", "=", lvolid)
    .orderBy("extent.dextid")
    .execute();
}

/** Members of all mirrors that an attachment of a volume reads and writes: its own, and those of its snapshots. */
export async function membersOfAttachment(
  tx: Tx,
  lvolid: number,
): Promise<(MemberRow & { readonly lvolid: number })[]> {
  return memberQuery(tx)
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .select("mirror.lvolid")
    .where((test) => test.or([test("volume.lvolid", "=", lvolid), test("volume.origin_lvolid", "=", lvolid)]))
    .orderBy("extent.dextid")
    .execute();
}

/** True if any extent of the disk belongs to a mirror. */
export async function holdsMembers(tx: Tx, pdskid: number): Promise<boolean> {
  const row = await tx
    .selectFrom("extent")
    .select("dextid")
    .where("pdskid", "=", pdskid)
    .where("mirrorid", "is not", null)
    .executeTakeFirst();
  return row !== undefined;
}

/** Whether space that a volume had is still to be shredded, on a disk that is in use. */
export async function waitsForShred(tx: Tx, lvolid: number): Promise<boolean> {
  const down = [Priority.OFFLINE, Priority.FAULTY, Priority.HALT];
  const row = await tx
    .selectFrom("extent")
    .innerJoin("disk", "disk.pdskid", "extent.pdskid")
    .innerJoin("storage_server", "storage_server.ssvrid", "disk.ssvrid")
    .select("extent.dextid")
    .where("extent.status", "=", MemberStatus.NEEDSHRED)
    .where("extent.last_lvolid", "=", lvolid)
    .where("disk.priority", "not in", down)
    .where("storage_server.priority", "not in", down)
    .limit(1)
    .executeTakeFirst();
  return row !== undefined;
}

export async function insertExtents(tx: Tx, rows: readonly ExtentRow[]): Promise<void> {
  for (let at = 0; at < rows.length; at += INSERT_ROWS) {
    await tx
      .insertInto("extent")
      .values(rows.slice(at, at + INSERT_ROWS))
      .execute();
  }
}

/** Rows of one INSERT: 10 columns each, far below SQLite's 32,766 parameters. */
const INSERT_ROWS = 200;

export async function deleteExtent(tx: Tx, dextid: number): Promise<void> {
  await tx.deleteFrom("extent").where("dextid", "=", dextid).execute();
}

/** Moves a member along one arrow. @returns false if it is not in `from`. */
export async function moveMember(
  tx: Tx,
  dextid: number,
  from: MemberStatus,
  to: MemberStatus,
): Promise<boolean> {
  const result = await tx
    .updateTable("extent")
    .set({ status: to, failures: 0 })
    .where("dextid", "=", dextid)
    .where("status", "=", from)
    .executeTakeFirst();
  return result.numUpdatedRows > 0n;
}

/**
 * Before the first grant of the life of a volume or of its snapshots: what was set aside is their content from now on
 * (rule R10).
 */
export async function moveAllocatedToInSync(tx: Tx, lvolid: number): Promise<void> {
  await tx
    .updateTable("extent")
    .set({ status: MemberStatus.INSYNC })
    .where("status", "=", MemberStatus.ALLOCATED)
    .where("mirrorid", "in", (query) =>
      query
        .selectFrom("mirror")
        .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
        .select("mirror.mirrorid")
        .where((test) =>
          test.or([test("volume.lvolid", "=", lvolid), test("volume.origin_lvolid", "=", lvolid)]),
        ),
    )
    .execute();
}

/**
 * Takes a member out of its mirror: its space waits for the shred, which has a generation of its own (rule R4), the same
 * however often it has to be tried. @returns false if it is not in `from`.
 */
export async function moveMemberToShred(
  tx: Tx,
  dextid: number,
  from: MemberStatus,
  lvolid: number,
): Promise<boolean> {
  const extent = await findExtent(tx, dextid);
  if (extent?.status !== from) return false;
  const generation = await raiseGeneration(tx, extent.pdskid);
  await tx
    .updateTable("extent")
    .set({
      status: MemberStatus.NEEDSHRED,
      mirrorid: null,
      last_lvolid: lvolid,
      lost: 0,
      failures: 0,
      generation,
    })
    .where("dextid", "=", dextid)
    .where("status", "=", from)
    .execute();
  return true;
}

/** One more failed resync of a member, or failed shred of space. */
export async function countFailure(tx: Tx, dextid: number): Promise<void> {
  await tx
    .updateTable("extent")
    .set({ failures: sql<number>`failures + 1` })
    .where("dextid", "=", dextid)
    .execute();
}

export async function updateExtent(
  tx: Tx,
  dextid: number,
  change: Partial<Pick<ExtentRow, "offset" | "length" | "generation">>,
): Promise<void> {
  await tx.updateTable("extent").set(change).where("dextid", "=", dextid).execute();
}

/** Space that a shred could begin on, with what the order of shreds depends on. */
export interface ShreddableSpace extends ExtentRow {
  readonly ssvrid: number;
  /** GB of its disk, and how many of them are clean. */
  readonly capacity: number;
  readonly clean: number;
}

/**
 * The oldest space that waits for its shred on each disk where none is under way. One that failed and waits for its next
 * attempt lets others go first, up to a number: if all of them fail, that is what gives the disk a rest.
 *
 * @param now wall-clock milliseconds
 */
export async function nextToShred(tx: Tx, now: number, maxWaiting: number): Promise<ShreddableSpace[]> {
  const open = tx
    .selectFrom("job")
    .innerJoin("extent as begun", "begun.dextid", "job.subject")
    .where("job.kind", "=", "shred")
    .where("job.status", "in", [JobStatus.PENDING, JobStatus.RUNNING]);
  const busyDisks = open
    .select("begun.pdskid")
    .groupBy("begun.pdskid")
    .having(
      sql<boolean>`sum(job.status = ${JobStatus.RUNNING} OR job.run_at <= ${now}) > 0 OR count(*) >= ${maxWaiting}`,
    );
  const oldest = tx
    .selectFrom("extent")
    .select((query) => query.fn.min("dextid").as("dextid"))
    .where("status", "=", MemberStatus.NEEDSHRED)
    .where("dextid", "not in", open.select("begun.dextid"))
    .where("pdskid", "not in", busyDisks)
    .groupBy("pdskid");
  return tx
    .selectFrom("extent")
    .innerJoin("disk", "disk.pdskid", "extent.pdskid")
    .innerJoin("storage_server", "storage_server.ssvrid", "disk.ssvrid")
    .selectAll("extent")
    .select(["disk.ssvrid", "disk.capacity"])
    .select(
      sql<number>`(SELECT coalesce(sum(length), 0) FROM free_range WHERE free_range.pdskid = extent.pdskid)`.as(
        "clean",
      ),
    )
    .where("extent.dextid", "in", oldest)
    .where("disk.priority", "in", [1, 2, 3])
    .where("storage_server.priority", "in", [1, 2, 3])
    .execute();
}
