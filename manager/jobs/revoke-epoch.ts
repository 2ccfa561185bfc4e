import { VasError } from "../../shared/errors.js";
import type { Attachment } from "../operations/read-attachment.js";
import type { HandlerTools } from "./handler.js";

/** Asks storage servers at the same time. @returns the ids of those that gave no answer, and the first other error. */
async function askAll(
  attachment: Attachment,
  ask: (grant: Attachment["grants"][number]) => Promise<unknown>,
): Promise<{ unasked: number[]; refusal: VasError | undefined }> {
  const unasked: number[] = [];
  let refusal: VasError | undefined;
  await Promise.all(
    attachment.grants.map(async (grant) => {
      try {
        await ask(grant);
      } catch (error) {
        if (!(error instanceof VasError)) throw error;
        // ENOENT: the server is there, but does not serve the disk, which is as good as absent.
        if (error.errno === "EHOSTDOWN" || error.errno === "ENOENT") unasked.push(grant.ssvrid);
        else refusal ??= error;
      }
    }),
  );
  return { unasked, refusal };
}

/**
 * Grants a volume's epoch at every storage server that holds a member.
 *
 * @returns ids of the servers that could not be asked.
 * @throws VasError if a server refuses.
 */
export async function grantEpoch(attachment: Attachment, tools: HandlerTools): Promise<number[]> {
  const { lvolid, epoch, grant_version: version, hsvrid } = attachment.volume;
  const { unasked, refusal } = await askAll(attachment, ({ agent, extents }) =>
    tools.agents.callStorage(agent, "grantExtents", { lvolid, epoch, hsvrid: hsvrid ?? 0, version, extents }),
  );
  if (refusal !== undefined) throw refusal;
  return unasked;
}

/**
 * Closes a volume's epoch at every storage server that holds a member. From a server's answer on, no write of that
 * epoch can land there.
 *
 * @returns ids of the servers that could not be asked.
 * @throws VasError if a server refuses.
 */
export async function revokeEpoch(attachment: Attachment, tools: HandlerTools): Promise<number[]> {
  const { lvolid, epoch } = attachment.volume;
  const { unasked, refusal } = await askAll(attachment, ({ agent }) =>
    tools.agents.callStorage(agent, "revokeEpoch", { lvolid, epoch }),
  );
  if (refusal !== undefined) throw refusal;
  return unasked;
}
