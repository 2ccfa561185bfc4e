import { healMirror } from "../../operations/heal-mirror.js";
import { listMirrorsToHeal } from "../../operations/list-mirrors-to-heal.js";
import type { Executor } from "../../operations/operation.js";
import type { Notices } from "./notices.js";
import type { SilenceWatch } from "./silence.js";

/**
 * Mirrors with too few members get what they lack. Looks at the state alone; each mirror in a transaction of its own,
 * so that calls of clients come in between.
 *
 * @returns true if anything changed.
 */
export async function healMirrors(
  executor: Executor,
  silence: SilenceWatch,
  notices: Notices,
): Promise<boolean> {
  const { mirrorids, servers } = await executor.runQuietly(listMirrorsToHeal, {});
  const { tooLong, brake } = silence.assess(servers);
  notices.set(
    "brake",
    brake
      ? "so many storage servers are silent that the fault is likely on the manager's side: nothing is replaced automatically"
      : undefined,
  );
  let changed = false;
  let noRoom: string | undefined;
  for (const mirrorid of mirrorids) {
    const result = await executor.runQuietly(healMirror, { mirrorid, silentTooLong: tooLong });
    changed ||= result.changed;
    noRoom ??= result.noRoom;
  }
  notices.set("no room", noRoom === undefined ? undefined : `copies wait for room: ${noRoom}`);
  return changed;
}
