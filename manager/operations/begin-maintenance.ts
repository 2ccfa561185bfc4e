import { BindEvent, BindStatus, Priority } from "../../shared/states.js";
import { isDeclaredLost } from "../domain/member-rules.js";
import { isSnapshot } from "../domain/snapshot-rules.js";
import { findOpenJob } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { allHeadServers, lostStorageServers } from "../store/servers.js";
import { findVolume, maintainedVolumes, volumesOfHead } from "../store/volumes.js";
import { absentCopies } from "./absent-copies.js";
import { openEpoch } from "./open-epoch.js";
import type { Operation } from "./operation.js";

export interface MaintenanceRequest {
  readonly lvolid: number;
  /** Storage servers that are not waited for any more: silent for `replace_after`. */
  readonly silentTooLong: ReadonlySet<number>;
  /** Head server that is taken only if there is no other: it was tried before. */
  readonly avoid?: number | undefined;
}

/**
 * A detached volume has copies that only a head can bring in sync (R15): it is attached to the head server with the fewest
 * volumes, for that alone. Not more volumes at a time than resyncs; and not while that would cost a good copy whose server may
 * be back in a moment (R2).
 *
 * @returns the head server; undefined if that can't be now.
 */
export const beginMaintenance: Operation<MaintenanceRequest, number | undefined> = async (
  tx,
  { lvolid, silentTooLong, avoid },
  context,
) => {
  const volume = await findVolume(tx, lvolid);
  if (volume === undefined || isSnapshot(volume)) return undefined;
  if (volume.bind_status !== BindStatus.UNBOUND || volume.bind_event !== BindEvent.NONE) return undefined;
  if ((await findOpenJob(tx, "end-maintenance", lvolid)) !== undefined) return undefined;
  if ((await maintainedVolumes(tx)).length >= context.settings.max_resync_tasks) return undefined;
  const lost = await lostStorageServers(tx);
  const absent = (await absentCopies(tx, lvolid)).filter(
    (member) => !isDeclaredLost(member, lost) && !silentTooLong.has(member.ssvrid),
  );
  const hsvrid = absent.length > 0 ? undefined : await idlestHead(tx, avoid);
  if (hsvrid !== undefined) await openEpoch(tx, { volume, hsvrid, maintenance: true }, context);
  return hsvrid;
};

/** The first of those with the fewest volumes. */
async function idlestHead(tx: Tx, avoid: number | undefined): Promise<number | undefined> {
  const heads: { readonly hsvrid: number; readonly load: number }[] = [];
  for (const { hsvrid, priority } of await allHeadServers(tx)) {
    if (priority === Priority.HIGH) heads.push({ hsvrid, load: (await volumesOfHead(tx, hsvrid)).length });
  }
  const isAvoided = ({ hsvrid }: { readonly hsvrid: number }): number => (hsvrid === avoid ? 1 : 0);
  heads.sort((a, b) => isAvoided(a) - isAvoided(b) || a.load - b.load || a.hsvrid - b.hsvrid);
  return heads[0]?.hsvrid;
}
