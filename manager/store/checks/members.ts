import { sql } from "kysely";
import { showExtent, showMirror, showStorageServer, showVolume } from "../../../shared/ids.js";
import { MemberStatus } from "../../../shared/states.js";
import type { Tx } from "../open-store.js";

const { ALLOCATED, INSYNC, SPARE, NEEDSHRED } = MemberStatus;

/** Every mirror has the members that it should. */
export async function checkMembers(tx: Tx): Promise<string[]> {
  return [
    ...(await checkCounts(tx)),
    ...(await checkShort(tx)),
    ...(await checkServersOfMembers(tx)),
    ...(await checkLengths(tx)),
    ...(await checkOrphans(tx)),
    ...(await checkNeverAttached(tx)),
  ];
}

interface CountRow {
  mirrorid: number;
  live: number;
  insync: number;
  allocated: number;
}

/**
 * At least one live member; one of them INSYNC, or all of them ALLOCATED. There may be more than the redundancy: a
 * member on a lost server stays until its head says that it does not use it any more (rule R2).
 */
async function checkCounts(tx: Tx): Promise<string[]> {
  const { rows } = await sql<CountRow>`
    SELECT * FROM (
      SELECT mirror.mirrorid,
        count(CASE WHEN extent.status IN (${ALLOCATED}, ${INSYNC}, ${SPARE}) THEN 1 END) AS live,
        count(CASE WHEN extent.status = ${INSYNC} THEN 1 END) AS insync,
        count(CASE WHEN extent.status = ${ALLOCATED} THEN 1 END) AS allocated
      FROM mirror LEFT JOIN extent ON extent.mirrorid = mirror.mirrorid
      GROUP BY mirror.mirrorid
    ) AS counted
    WHERE live = 0 OR (insync = 0 AND allocated < live)
    ORDER BY mirrorid`.execute(tx);
  return rows.map(({ mirrorid, live }) => {
    const mirror = showMirror(mirrorid);
    if (live === 0) return `${mirror} has no member that is not FAULTY`;
    return `${mirror} has no INSYNC member, but SPARE ones`;
  });
}

/** A mirror with too few members, of which no member tells so, is marked: or nobody would ever heal it. */
async function checkShort(tx: Tx): Promise<string[]> {
  const { rows } = await sql<{ mirrorid: number; count: number; redundancy: number }>`
    SELECT mirror.mirrorid, count(extent.dextid) AS count, volume.redundancy
    FROM mirror JOIN volume ON volume.lvolid = mirror.lvolid LEFT JOIN extent ON extent.mirrorid = mirror.mirrorid
    WHERE mirror.short = 0
    GROUP BY mirror.mirrorid HAVING count(extent.dextid) < volume.redundancy
    ORDER BY mirror.mirrorid`.execute(tx);
  return rows.map(
    ({ mirrorid, count, redundancy }) =>
      `${showMirror(mirrorid)} has ${count} of ${redundancy} members, and is not marked as short of them`,
  );
}

/** Members are on different storage servers (D6). */
async function checkServersOfMembers(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("extent")
    .innerJoin("disk", "disk.pdskid", "extent.pdskid")
    .where("extent.mirrorid", "is not", null)
    .where("extent.status", "in", [ALLOCATED, INSYNC, SPARE])
    .groupBy(["extent.mirrorid", "disk.ssvrid"])
    .having((of) => of.fn.countAll(), ">", 1)
    .select((of) => ["extent.mirrorid", "disk.ssvrid", of.fn.countAll<number>().as("count")])
    .$narrowType<{ mirrorid: number }>()
    .execute();
  return rows.map(
    (row) =>
      `${showMirror(row.mirrorid)} has ${row.count} members on the same server, ${showStorageServer(row.ssvrid)}`,
  );
}

async function checkLengths(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("extent")
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .whereRef("extent.length", "<>", "mirror.length")
    .select(["extent.dextid", "extent.length", "mirror.mirrorid", "mirror.length as wanted"])
    .orderBy("extent.dextid")
    .execute();
  return rows.map(
    (row) =>
      `${showExtent(row.dextid)} is of ${row.length} GB, its mirror ${showMirror(row.mirrorid)} of ${row.wanted} GB`,
  );
}

/** An extent belongs to a mirror, or waits for its shred. */
async function checkOrphans(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("extent")
    .where((of) =>
      of.or([
        of.and([of("mirrorid", "is", null), of("status", "<>", NEEDSHRED)]),
        of.and([of("mirrorid", "is not", null), of("status", "=", NEEDSHRED)]),
      ]),
    )
    .select(["dextid", "mirrorid"])
    .orderBy("dextid")
    .execute();
  return rows.map(({ dextid, mirrorid }) =>
    mirrorid === null
      ? `${showExtent(dextid)} belongs to no mirror and does not wait for its shred`
      : `${showExtent(dextid)} waits for its shred, but belongs to ${showMirror(mirrorid)}`,
  );
}

/** Members become INSYNC before the first grant of their volume (R10). */
async function checkNeverAttached(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("extent")
    .innerJoin("mirror", "mirror.mirrorid", "extent.mirrorid")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .where("extent.status", "=", ALLOCATED)
    .leftJoin("volume as origin", "origin.lvolid", "volume.origin_lvolid")
    .where((test) => test.or([test("volume.epoch", ">", 0), test("origin.hsvrid", "is not", null)]))
    .select(["extent.dextid", "volume.lvolid"])
    .orderBy("extent.dextid")
    .execute();
  return rows.map(
    (row) => `${showExtent(row.dextid)} is ALLOCATED, but ${showVolume(row.lvolid)} has been attached`,
  );
}
