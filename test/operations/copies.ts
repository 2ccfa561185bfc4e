import { sql } from "kysely";
import { expect } from "vitest";
import { listVolumes, showVolume } from "../../manager/operations/list-volumes.js";
import { linearOf } from "../../shared/layout-tree.js";
import { MemberStatus, Priority } from "../../shared/states.js";
import type { State } from "./state.js";

/** A member of a mirror. */
export interface Copy {
  readonly dextid: number;
  readonly mirrorid: number | null;
  readonly status: number;
  /** Nobody declared the extent, its disk or its server failed. */
  readonly sound: 0 | 1;
}

const { ALLOCATED, INSYNC, SPARE } = MemberStatus;
const isGood = ({ status }: Copy): boolean => status === ALLOCATED || status === INSYNC;

export async function copiesOf(state: State): Promise<readonly Copy[]> {
  const { rows } = await sql<Copy>`
    SELECT dextid, mirrorid, status, extent.lost = 0 AND disk.priority <> ${Priority.FAULTY} AND storage_server.lost = 0 AS sound
    FROM extent JOIN disk USING (pdskid) JOIN storage_server USING (ssvrid) WHERE mirrorid IS NOT NULL`.execute(
    state.store.db,
  );
  return rows;
}

/** The copies of a mirror to rely on, and how many there should be. */
export async function soundCopies(state: State, mirrorid: number) {
  const { redundancy } = await state.store.db
    .selectFrom("mirror")
    .innerJoin("volume", "volume.lvolid", "mirror.lvolid")
    .select("redundancy")
    .where("mirrorid", "=", mirrorid)
    .executeTakeFirstOrThrow();
  const copies = (await copiesOf(state)).filter((copy) => copy.mirrorid === mirrorid);
  const ids = copies.filter((copy) => isGood(copy) && copy.sound === 1).map(({ dextid }) => dextid);
  return { ids, count: ids.length, redundancy };
}

/**
 * A good copy that a step took, without a word of its head that it missed a write, has left a sound one behind; or its mirror
 * is gone as well (D3).
 */
export function assertSoundStays(
  before: readonly Copy[],
  after: readonly Copy[],
  mirrors: ReadonlySet<number>,
): void {
  const now = new Map(after.map((copy) => [copy.dextid, copy]));
  const sound = new Set(
    after.filter((copy) => isGood(copy) && copy.sound === 1).map((copy) => copy.mirrorid),
  );
  for (const { dextid, mirrorid } of before.filter(isGood)) {
    if (mirrorid === null || !mirrors.has(mirrorid) || sound.has(mirrorid)) continue;
    const copy = now.get(dextid);
    const stays = copy !== undefined && (isGood(copy) || copy.status === SPARE);
    expect(stays, `copy ${dextid} of mirror ${mirrorid}, which has no sound one`).toBe(true);
  }
}

/** Every mirror that was ever written has a good copy (D3). */
export async function assertCopies(state: State): Promise<void> {
  for (const { lvolid } of await state.run(listVolumes, {})) {
    const tree = await state.run(showVolume, { lvolid });
    for (const mirror of linearOf(tree).components) {
      const statuses = mirror.components.map((extent) => extent.mirror_status);
      const untouched = statuses.every((status) => status === MemberStatus.ALLOCATED);
      expect(
        untouched || statuses.includes(MemberStatus.INSYNC),
        `mirror ${mirror.lvolid}: ${statuses.join()}`,
      ).toBe(true);
    }
  }
}
