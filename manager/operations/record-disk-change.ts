import { showDisk, showStorageServer } from "../../shared/ids.js";
import { FailureTarget } from "../../shared/states.js";
import { isUp } from "../domain/member-rules.js";
import type { DiskRow } from "../store/disks.js";
import { recordChange } from "../store/events.js";
import type { Tx } from "../store/open-store.js";
import type { OperationContext } from "./operation.js";

type Known = Pick<DiskRow, "ssvrid" | "local_path" | "capacity" | "priority">;

/** Part of a registration: what is new about a known disk is an event; that it is registered again is none. */
export async function recordDiskChange(
  tx: Tx,
  pdskid: number,
  { before, after }: { readonly before: Known; readonly after: Known },
  context: OperationContext,
): Promise<void> {
  const moved = after.ssvrid === before.ssvrid ? [] : [`moved to ${showStorageServer(after.ssvrid)}`];
  const renamed = after.local_path === before.local_path ? [] : [`is ${after.local_path} now`];
  const grown =
    after.capacity === before.capacity ? [] : [`has ${after.capacity} GB, not ${before.capacity}`];
  const back = isUp(after.priority) && !isUp(before.priority) ? ["is back"] : [];
  const news = [...back, ...moved, ...renamed, ...grown];
  if (news.length === 0) return;
  const sentence = `disk ${showDisk(pdskid)} ${news.join(", ")}`;
  await recordChange(tx, { target: FailureTarget.PDSK, targetid: pdskid, sentence }, context);
}
