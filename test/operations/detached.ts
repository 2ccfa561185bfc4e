import { beginDetach } from "../../manager/operations/begin-detach.js";
import { finishDetach } from "../../manager/operations/end-detach.js";
import type { State } from "./state.js";

/** Detaches a volume, the agents' part played. */
export async function detach(state: State, lvolid: number): Promise<void> {
  const jobid = (await state.run(beginDetach, { lvolid })) ?? 0;
  await state.claim("detach");
  await state.run(finishDetach, { jobid, lvolid });
}
