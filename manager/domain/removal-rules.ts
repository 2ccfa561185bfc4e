import { VasError } from "../../shared/errors.js";
import { Priority, priorityName } from "../../shared/states.js";
import { describeRemainder, isNothing, type Remainder } from "./evacuation-rules.js";
import { type Binding, nameSome, nameVolume } from "./volume-rules.js";

/** Pure rules: may a server or a disk be deleted, and if not, why. `what` names it: `disk pdsk-00000001`. */

function isOut(priority: Priority): boolean {
  return priority === Priority.OFFLINE || priority === Priority.FAULTY;
}

/**
 * @param left what is still on it, if it is being evacuated
 * @throws VasError EBUSY unless the disk is out of use, or evacuated.
 */
export function assertDiskIsOut(what: string, priority: Priority, left: Remainder | undefined): void {
  if (isOut(priority)) return;
  if (left !== undefined && priority === Priority.EVACUATE) {
    assertEvacuated(what, left);
    return;
  }
  throw new VasError(
    "EBUSY",
    `${what} is ${priorityName(priority)}, and only an OFFLINE or FAULTY one can be deleted; report it as failed (notifyFailure), or stop its storage server`,
  );
}

/**
 * @param left what is still on its disks, if it is being evacuated
 * @throws VasError EBUSY unless the server is out of use, or evacuated.
 */
export function assertServerIsOut(what: string, priority: Priority, left: Remainder | undefined): void {
  if (isOut(priority)) return;
  if (left !== undefined && priority === Priority.EVACUATE) {
    assertEvacuated(what, left);
    return;
  }
  throw new VasError(
    "EBUSY",
    `${what} is ${priorityName(priority)}, and only an OFFLINE or FAULTY one can be deleted; stop it, or report it as failed (notifyFailure)`,
  );
}

/** @throws VasError EBUSY */
function assertEvacuated(what: string, left: Remainder): void {
  if (isNothing(left)) return;
  const sentence = `${what} is being evacuated: ${describeRemainder(left)}; try again when it is empty`;
  throw new VasError("EBUSY", sentence);
}

/** @throws VasError EBUSY while volumes are attached to the head server, or being fenced from it. */
export function assertNoVolumes(what: string, volumes: readonly Binding[]): void {
  if (volumes.length === 0) return;
  throw new VasError(
    "EBUSY",
    `${what} has, or may still have, ${nameSome(volumes.map(nameVolume))}; detach them, or wait until they are fenced ("vas status" tells what that waits for)`,
  );
}

/** A good copy that would go. */
export interface LeavingCopy {
  readonly lvolid: number;
  readonly lvolname: string;
  /** Where its volume, or its snapshot's origin, is attached; null if it is detached. */
  readonly hsvrid: number | null;
  /** Good copies of the same mirror that would stay. */
  readonly others: number;
}

/** @throws VasError EBUSY if a copy is the last good one (D3), or if a head still uses it (R2). */
export function assertCopiesMayGo(what: string, copies: readonly LeavingCopy[]): void {
  const last = copies.filter(({ others }) => others === 0);
  if (last.length > 0) {
    throw new VasError(
      "EBUSY",
      `${what} holds the last good copy of a part of ${nameSome(last.map(nameVolume))}; bring it back until there are others, or delete that first`,
    );
  }
  const used = copies.filter(({ hsvrid }) => hsvrid !== null);
  if (used.length === 0) return;
  throw new VasError(
    "EBUSY",
    `${what} holds copies of ${nameSome(used.map(nameVolume))}, which are attached; try again when their heads have let go of them, or detach them`,
  );
}
