import { VasError } from "../../../shared/errors.js";
import { showExtent, showMirror } from "../../../shared/ids.js";
import type { ParsedExtent } from "../../../shared/layout-tree.js";
import type { AskedReplacement } from "../volume-control.js";
import { DISK_LOST } from "./disk-request.js";
import type { Mirror } from "./mirror.js";
import { type Resync, startResync } from "./resync.js";

/**
 * Stops using one member of a mirror and brings another in sync, if it is not: with one that is, nothing is copied. A repeated
 * call for the same extent waits for the first.
 *
 * @param resyncs what is under way, by the extent's id
 * @returns the membership version since which `add` is INSYNC at the manager
 * @throws VasError EBUSY if `remove` is the last good copy, EINVAL if `add` is on a disk that has another copy, EHOSTDOWN
 * if its disk can't be reached, EIO, ENOENT, ECANCELED
 */
export async function replaceMember(
  mirror: Mirror,
  { version, add, remove }: Omit<AskedReplacement, "mirrorid">,
  resyncs: Map<number, Resync>,
): Promise<number> {
  const dextid = add.lvolid;
  mirror.version = Math.max(mirror.version, version);
  if (remove !== null && remove.lvolid !== dextid) await stopUsing(mirror, remove.lvolid, resyncs);
  const running = resyncs.get(dextid);
  if (running !== undefined) return running.done;
  await mirror.settled();
  if (mirror.isDiscarded)
    throw new VasError("ENOENT", `mirror ${showMirror(mirror.mirrorid)} is not used any more`);
  const known = mirror.members.find((member) => member.dextid === dextid);
  if (known?.state === "insync") return mirror.version;
  const again = resyncs.get(dextid);
  if (again !== undefined) return again.done;
  if (known !== undefined) mirror.forget(known);
  assertOtherDisk(mirror, add);
  const resync = startResync(mirror, mirror.add(add));
  resyncs.set(dextid, resync);
  try {
    return await resync.done;
  } finally {
    resyncs.delete(dextid);
  }
}

/** @throws VasError EBUSY */
async function stopUsing(mirror: Mirror, dextid: number, resyncs: Map<number, Resync>): Promise<void> {
  const member = mirror.members.find((candidate) => candidate.dextid === dextid);
  if (member === undefined) return;
  const resync = resyncs.get(dextid);
  if (resync !== undefined) {
    resync.cancel();
    await resync.done.catch(() => undefined);
  }
  if (member.inUse && !member.patient) mirror.memberFailed(member, DISK_LOST);
  await mirror.settled();
  if (member.state !== "out") {
    throw new VasError("EBUSY", `extent ${showExtent(dextid)} is the last good copy of its mirror`);
  }
  mirror.forget(member);
}

/** Two copies on one disk are one copy; one that is out of use is none. */
function assertOtherDisk(mirror: Mirror, add: ParsedExtent): void {
  const { pdskid } = add.lvolspec;
  const other = mirror.members.find(
    (member) => member.state !== "out" && member.node.lvolspec.pdskid === pdskid,
  );
  if (other === undefined) return;
  throw new VasError(
    "EINVAL",
    `extent ${showExtent(add.lvolid)} is on the disk of ${showExtent(other.dextid)}, another member of its mirror`,
  );
}
