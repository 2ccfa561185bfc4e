import { assertCopiesMayGo } from "../domain/removal-rules.js";
import { deleteDisks, goodCopiesOn, takeMembersOut } from "../store/disk-removal.js";
import { cancelJobsOfDisks } from "../store/jobs.js";
import type { Tx } from "../store/open-store.js";
import { findVolume } from "../store/volumes.js";
import { endMaintenance } from "./end-maintenance.js";
import type { OperationContext } from "./operation.js";

/**
 * Part of an operation: deletes disks that are out of use, and all that is on them. Mirrors that lose a member by it are
 * healed when that is possible.
 *
 * @param removal.what as sentences name it.
 * @throws VasError EBUSY if a last good copy is on them, or a copy that a head uses.
 */
export async function removeDisks(
  tx: Tx,
  removal: { readonly what: string; readonly pdskids: readonly number[] },
  context: OperationContext,
): Promise<void> {
  const { what, pdskids } = removal;
  if (pdskids.length === 0) return;
  await freeFromMaintenance(tx, pdskids, context);
  assertCopiesMayGo(what, await goodCopiesOn(tx, pdskids));
  const gone = { now: context.now, result: "ECANCELED", last_error: `${what} was deleted` };
  await cancelJobsOfDisks(tx, pdskids, gone);
  await takeMembersOut(tx, pdskids);
  await deleteDisks(tx, pdskids);
}

/** What a head uses only to bring copies in sync is free at once. */
async function freeFromMaintenance(
  tx: Tx,
  pdskids: readonly number[],
  context: OperationContext,
): Promise<void> {
  const copies = await goodCopiesOn(tx, pdskids);
  const attachments = new Set(
    copies.filter(({ maintenance }) => maintenance === 1).map((copy) => copy.attachment),
  );
  for (const lvolid of attachments) {
    const volume = await findVolume(tx, lvolid);
    if (volume !== undefined) await endMaintenance(tx, volume, context);
  }
}
