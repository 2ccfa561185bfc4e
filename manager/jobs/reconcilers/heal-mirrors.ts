import { setImmediate as nextTurn } from "node:timers/promises";
import { healMirror } from "../../operations/heal-mirror.js";
import { listMirrorsToHeal } from "../../operations/list-mirrors-to-heal.js";
import type { Executor } from "../../operations/operation.js";
import { recordBrake } from "../../operations/record-brake.js";
import type { Maintenance } from "./maintenance.js";
import type { Notices } from "./notices.js";
import type { SilenceWatch } from "./silence.js";

/**
 * Mirrors with too few members get what they lack. Looks at the state alone; each mirror in a transaction of its own,
 * so that calls of clients come in between. Volumes that are detached get a head for as long as that takes.
 *
 * @returns true if anything changed.
 */
export async function healMirrors(
  executor: Executor,
  silence: SilenceWatch,
  notices: Notices,
  maintenance: Maintenance,
): Promise<boolean> {
  const { mirrorids, servers } = await executor.runQuietly(listMirrorsToHeal, {});
  const { tooLong, brake, isNews, silent } = silence.assess(servers);
  if (isNews) await executor.runQuietly(recordBrake, { isOn: brake, silent });
  notices.set(
    "brake",
    brake
      ? "so many storage servers are silent that the fault is likely on the manager's side: nothing is replaced automatically"
      : undefined,
  );
  let changed = false;
  let noRoom: string | undefined;
  const noRoomFor = new Set<string>();
  const wanting = new Set<number>();
  for (const mirrorid of mirrorids) {
    const result = await executor.runQuietly(healMirror, { mirrorid, silentTooLong: tooLong, noRoomFor });
    changed ||= result.changed;
    if (result.noRoom !== undefined) noRoomFor.add(result.wish);
    noRoom ??= result.noRoom;
    if (result.wantsHead !== undefined) wanting.add(result.wantsHead);
    // SQLite answers at once, so nothing else would come in between for as long as the list is.
    await nextTurn();
  }
  notices.set("no room", noRoom === undefined ? undefined : `copies wait for room: ${noRoom}`);
  return (await maintenance.run(executor, wanting, tooLong)) || changed;
}
