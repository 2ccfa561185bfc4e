import { sql } from "kysely";
import type { VolumeRow } from "../../../schema/tables.js";
import { showHeadServer, showVolume } from "../../../shared/ids.js";
import { snapshotCapacity } from "../../../shared/snapshot-space.js";
import { BindEvent, BindStatus, JobStatus, SnapshotStatus } from "../../../shared/states.js";
import type { Tx } from "../open-store.js";

/** Mirrors tile their volume, and its binding is a place on the diagram. */
export async function checkVolumes(tx: Tx): Promise<string[]> {
  return [
    ...(await checkTiles(tx)),
    ...(await checkBindings(tx)),
    ...(await checkBindingJobs(tx)),
    ...(await checkSnapshots(tx)),
  ];
}

interface TileRow {
  lvolid: number;
  offset: number;
  reached: number;
  is_end: 0 | 1;
}

/** Each mirror starts where the one before it ends, and the volume's end is where a next one would start. */
async function checkTiles(tx: Tx): Promise<string[]> {
  const { rows } = await sql<TileRow>`
    SELECT * FROM (
      SELECT lvolid, "offset", is_end, coalesce(lag("end") OVER (PARTITION BY lvolid ORDER BY is_end, "offset"), 0) AS reached
      FROM (
        SELECT lvolid, "offset", "offset" + length AS "end", 0 AS is_end FROM mirror
        UNION ALL SELECT lvolid, capacity AS "offset", capacity AS "end", 1 AS is_end FROM volume
      ) AS tile
    ) AS ordered
    WHERE "offset" <> reached
    ORDER BY lvolid, is_end, "offset"`.execute(tx);
  return rows.map(({ lvolid, offset, reached, is_end }) => {
    const volume = showVolume(lvolid);
    if (offset > reached) return `${volume}: no mirror holds ${reached}..${offset} GB`;
    if (is_end === 1) return `${volume} is of ${offset} GB, but its mirrors reach up to ${reached} GB`;
    return `${volume}: two mirrors hold ${offset}..${reached} GB`;
  });
}

type BindingRow = Pick<
  VolumeRow,
  "lvolid" | "bind_status" | "bind_event" | "hsvrid" | "epoch" | "epoch_open" | "maintenance"
>;

/** The rows are few, one per volume, and the rules read better in code than in SQL. */
async function checkBindings(tx: Tx): Promise<string[]> {
  const rows: BindingRow[] = await tx
    .selectFrom("volume")
    .select(["lvolid", "bind_status", "bind_event", "hsvrid", "epoch", "epoch_open", "maintenance"])
    .orderBy("lvolid")
    .execute();
  return rows.flatMap((row) => bindingFaults(row).map((fault) => `${showVolume(row.lvolid)} ${fault}`));
}

function bindingFaults(row: BindingRow): string[] {
  const idle = row.bind_status === BindStatus.UNBOUND && row.bind_event === BindEvent.NONE;
  const faults: string[] = [];
  if (idle && row.hsvrid !== null)
    faults.push(`is attached nowhere, but names ${showHeadServer(row.hsvrid)}`);
  if (!idle && row.hsvrid === null) faults.push("is attached, or on its way, but names no head server");
  if (row.hsvrid === null && row.epoch_open === 1) faults.push("is attached nowhere, but its epoch is open");
  if (row.maintenance === 1 && (row.bind_event === BindEvent.UNBINDING || row.epoch_open === 0))
    faults.push("is attached for maintenance, and on its way out of that");
  if (row.epoch === 0 && (!idle || row.epoch_open === 1))
    faults.push("was never attached, but its binding says otherwise");
  if (row.bind_event === BindEvent.BINDING && row.bind_status !== BindStatus.UNBOUND) {
    faults.push("is being attached, but was not detached before");
  }
  return faults;
}

/** What is being done to a binding is somebody's job. */
async function checkBindingJobs(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("volume")
    .where("bind_event", "<>", BindEvent.NONE)
    .where((of) =>
      of.not(
        of.exists(
          of
            .selectFrom("job")
            .whereRef("job.subject", "=", "volume.lvolid")
            .where("job.status", "in", [JobStatus.PENDING, JobStatus.RUNNING])
            .where((job) =>
              job.or([
                job.and([job("job.kind", "=", "attach"), job("volume.bind_event", "=", BindEvent.BINDING)]),
                job.and([
                  job("job.kind", "in", ["detach", "fence"]),
                  job("volume.bind_event", "=", BindEvent.UNBINDING),
                ]),
              ]),
            )
            .select("job.jobid"),
        ),
      ),
    )
    .select(["lvolid", "bind_event"])
    .orderBy("lvolid")
    .execute();
  return rows.map(({ lvolid, bind_event }) =>
    bind_event === BindEvent.BINDING
      ? `${showVolume(lvolid)} is being attached, but no job does it`
      : `${showVolume(lvolid)} is being detached, but no job does it`,
  );
}

/** Snapshots have room for all of their origin, are attached only with it, and what is being done to one is somebody's job. */
async function checkSnapshots(tx: Tx): Promise<string[]> {
  const rows = await tx
    .selectFrom("volume as snapshot")
    .innerJoin("volume as origin", "origin.lvolid", "snapshot.origin_lvolid")
    .leftJoin("job", (join) =>
      join
        .onRef("job.subject", "=", "snapshot.lvolid")
        .on("job.kind", "in", ["create-snapshot", "delete-snapshot"])
        .on("job.status", "in", [JobStatus.PENDING, JobStatus.RUNNING]),
    )
    .selectAll("snapshot")
    .select([
      "origin.capacity as origin_capacity",
      "origin.origin_lvolid as above",
      "origin.layerid as origin_layer",
    ])
    .select("job.kind")
    .orderBy("snapshot.lvolid")
    .execute();
  return rows.flatMap((row) => {
    const name = showVolume(row.lvolid);
    const wanted = snapshotCapacity(row.origin_capacity);
    const job = {
      [SnapshotStatus.CREATING]: "create-snapshot",
      [SnapshotStatus.DELETING]: "delete-snapshot",
    }[row.snapshot_status as number];
    const faults: string[] = [];
    if (row.capacity !== wanted) faults.push(`${name} is of ${row.capacity} GB, and needs ${wanted} GB`);
    if (row.above !== null) faults.push(`${name} is a snapshot of a snapshot`);
    if (row.layerid === null || row.origin_layer === null) faults.push(`${name} or its origin has no layer`);
    if (row.hsvrid !== null || row.epoch !== 0)
      faults.push(`${name} is a snapshot with a binding of its own`);
    if ((row.kind ?? undefined) !== job)
      faults.push(`${name} has the job ${row.kind ?? "none"}, and should have ${job ?? "none"}`);
    return faults;
  });
}
