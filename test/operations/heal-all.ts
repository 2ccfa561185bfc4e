import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { reportMemberFailure, reportMemberInSync } from "../../manager/operations/report-member.js";
import { finishResync, readResync } from "../../manager/operations/resync-member.js";
import { linearOf } from "../../shared/layout-tree.js";
import { type Attached, treeOf } from "./attached.js";
import type { State } from "./state.js";

/** No server has been silent for too long. */
export const nobody: ReadonlySet<number> = new Set();

/** Where a member of the volume's only mirror lies. */
export async function placeOf({ state, lvolid }: Pick<Attached, "state" | "lvolid">, dextid: number) {
  const [mirror] = linearOf(await treeOf(state, lvolid)).components;
  const spec = mirror?.components.find((extent) => extent.lvolid === dextid)?.lvolspec;
  return { ssvrid: spec?.ssvrid ?? 0, pdskid: spec?.pdskid ?? 0, offset: spec?.offset ?? 0 };
}

/** Plays the heads' part of every resync that is due. */
export async function resyncAll(state: State): Promise<void> {
  for (const { jobid, eventid, subject: dextid } of await state.claim("resync")) {
    const plan = await state.run(readResync, { dextid });
    if (plan === undefined || plan === "insync") continue;
    const { mirrorid } = plan;
    const { lvolid, epoch } = plan.volume;
    let { version } = plan;
    if (plan.remove !== undefined) {
      const failed = { lvolid, epoch, mirrorid, dextid: plan.remove.lvolid, version };
      version = (await state.run(reportMemberFailure, failed)).version;
    }
    await state.run(reportMemberInSync, { lvolid, epoch, mirrorid, dextid, version });
    await state.run(finishResync, { jobid, eventid, dextid });
  }
}

/** The duty of healing, and what the heads do of it, so many times. */
export async function healAll(state: State, rounds = 3): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    const { mirrorids } = await state.run(listMirrorsToHeal, {});
    for (const mirrorid of mirrorids) await state.run(healMirror, { mirrorid, silentTooLong: nobody });
    await resyncAll(state);
  }
}
