import { VasError } from "../../shared/errors.js";
import { showDisk } from "../../shared/ids.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { FailureTarget, Priority } from "../../shared/states.js";
import { nameSome } from "../domain/volume-rules.js";
import { insertBadBlocks, membersOnBadBlocks } from "../store/bad-blocks.js";
import { findDisk, updateDisk } from "../store/disks.js";
import { EventType, recordEvent } from "../store/events.js";
import { loseExtents } from "./lose-extent.js";
import type { Operation } from "./operation.js";

/**
 * Blocks of a disk, of 1 GB each, can't be read or written: the disk gets nothing new, and members that have one of them
 * are replaced as if they had been reported as failed. Repeating it changes nothing.
 *
 * @throws VasError EINVAL
 */
export const notifyBadBlocks: Operation<ParamsOf<typeof apiMethods.notifyBadBlocks>, 0> = async (
  tx,
  { pdskid, blocks },
  context,
) => {
  const disk = await findDisk(tx, pdskid);
  if (disk === undefined) throw new VasError("EINVAL", `pdskid: there is no disk ${pdskid}`);
  const what = `disk ${showDisk(pdskid)}`;
  const beyond = blocks.find((block) => block < 0 || block >= disk.capacity);
  if (beyond !== undefined) {
    throw new VasError(
      "EINVAL",
      `blocks: ${what} has no block ${beyond}; its blocks are 0 to ${disk.capacity - 1}`,
    );
  }
  const added = await insertBadBlocks(tx, pdskid, [...new Set(blocks)]);
  if (added.length === 0) return 0;
  if (disk.priority === Priority.HIGH) await updateDisk(tx, pdskid, { priority: Priority.LOW });
  await loseExtents(tx, await membersOnBadBlocks(tx, pdskid));
  const sentence = `${what} has bad blocks: ${nameSome(added.map(String))} (${added.length} new)`;
  await recordEvent(
    tx,
    { target: FailureTarget.PDSK, targetid: pdskid, event: EventType.ABNORMAL, sentence },
    context,
  );
  return 0;
};
