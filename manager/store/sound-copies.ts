import { type RawBuilder, sql } from "kysely";
import { MemberStatus, Priority } from "../../shared/states.js";

const { ALLOCATED, INSYNC } = MemberStatus;

/**
 * How many good copies of the mirror of `extent` there are of which nobody declared anything, neither of the extent, nor of
 * its disk, nor of its server (`isSound` in `domain/member-rules.ts`).
 *
 * @param besides a condition on `other`, for copies that do not count
 */
export function soundCopies(besides: RawBuilder<unknown>): RawBuilder<number> {
  return sql<number>`(
    SELECT count(*) FROM extent AS other
      JOIN disk ON disk.pdskid = other.pdskid
      JOIN storage_server ON storage_server.ssvrid = disk.ssvrid
    WHERE other.mirrorid = extent.mirrorid AND other.status IN (${ALLOCATED}, ${INSYNC}) AND other.lost = 0
      AND NOT (${besides})
      AND disk.priority <> ${Priority.FAULTY} AND storage_server.lost = 0)`;
}
