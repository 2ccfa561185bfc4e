import { dropUnaskedMembers } from "../../operations/drop-unasked-members.js";
import { finishDetach } from "../../operations/end-detach.js";
import { JobGone } from "../../operations/held-job.js";
import { readAttachment } from "../../operations/read-attachment.js";
import type { Handler } from "../handler.js";
import { revokeEpoch } from "../revoke-epoch.js";

/**
 * Fence (D4): the epoch was closed when this job was made; here it is revoked at every storage server with a good copy.
 * A copy whose server can't be asked leaves INSYNC first; the last one is waited for, with pauses, for as long as it
 * takes (D3).
 */
export const fence: Handler = async (job, tools) => {
  const attachment = await tools.executor.runQuietly(readAttachment, { lvolid: job.subject });
  if (attachment === undefined) throw new JobGone("the volume is gone");
  const ref = { jobid: job.jobid, lvolid: job.subject };
  const ssvrids = await revokeEpoch(attachment, tools);
  if (ssvrids.length > 0) await tools.executor.run(dropUnaskedMembers, { ...ref, ssvrids, isFence: true });
  await tools.executor.run(finishDetach, { ...ref, unreached: ssvrids });
};
