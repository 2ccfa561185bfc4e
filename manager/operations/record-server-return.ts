import type { Priority } from "../../shared/states.js";
import { isUp } from "../domain/member-rules.js";
import { recordChange } from "../store/events.js";
import type { Tx } from "../store/open-store.js";
import type { OperationContext } from "./operation.js";

/** A known server that registers, and how it was before. */
export interface ReturningServer {
  readonly target: number;
  readonly targetid: number;
  /** As in `head server hsvr-00000001`. */
  readonly name: string;
  readonly before: { readonly priority: Priority; readonly boot_id: string | null };
  readonly boot_id: string | undefined;
}

/** Part of a registration: that a server is back, or was started anew, is an event; that it says so again is none. */
export async function recordServerReturn(
  tx: Tx,
  server: ReturningServer,
  context: OperationContext,
): Promise<void> {
  const { target, targetid, name, before, boot_id } = server;
  const isStartedAnew = boot_id !== undefined && boot_id !== before.boot_id;
  if (isUp(before.priority) && !isStartedAnew) return;
  const what = isUp(before.priority) ? "was started anew" : "is back";
  await recordChange(tx, { target, targetid, sentence: `${name} ${what}` }, context);
}
