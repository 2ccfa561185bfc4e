import { VasError } from "../../shared/errors.js";
import type { Attachment, ServerGrant } from "../operations/read-attachment.js";
import { grantExtents } from "./grant-extents.js";
import type { HandlerTools } from "./handler.js";

/**
 * Asks storage servers at the same time.
 *
 * @returns the ids of those that did not do it, and if one of them had a newer grant.
 * @throws VasError if a server refuses to listen to us.
 */
export async function askStorageServers(
  grants: readonly ServerGrant[],
  ask: (grant: ServerGrant) => Promise<unknown>,
  tools: HandlerTools,
): Promise<{ unasked: number[]; overtaken: boolean }> {
  const unasked: number[] = [];
  let refusal: VasError | undefined;
  let overtaken = false;
  await Promise.all(
    grants.map(async (grant) => {
      try {
        await ask(grant);
      } catch (error) {
        if (!(error instanceof VasError)) throw error;
        // Whatever the reason – no answer, a disk that it does not serve, an export that does not obey –, the server
        // has not done it. EPERM alone is about us: another cluster's agent, or a newer manager.
        if (error.errno === "EPERM") refusal ??= error;
        else {
          tools.log.warn({ err: error, ssvrid: grant.ssvrid }, "a storage server could not be asked");
          unasked.push(grant.ssvrid);
          overtaken ||= error.errno === "ESTALE";
        }
      }
    }),
  );
  if (refusal !== undefined) throw refusal;
  return { unasked, overtaken };
}

/**
 * Grants a volume's epoch at every storage server that holds a member.
 *
 * @returns ids of the servers that could not be asked.
 * @throws VasError if a server refuses.
 */
export async function grantEpoch(attachment: Attachment, tools: HandlerTools): Promise<number[]> {
  const { lvolid, epoch, grant_version: version, hsvrid } = attachment.volume;
  const { unasked } = await askStorageServers(
    attachment.grants,
    ({ agent, extents }) => grantExtents(agent, { lvolid, epoch, hsvrid, version, extents }, tools),
    tools,
  );
  return unasked;
}

/**
 * Closes a volume's epoch, its newest one or an earlier, at every storage server that holds a member. From a server's answer on,
 * no write of that epoch can land there.
 *
 * @returns ids of the servers that could not be asked.
 * @throws VasError if a server refuses.
 */
export async function revokeEpoch(
  attachment: Attachment,
  tools: HandlerTools,
  epoch = attachment.volume.epoch,
): Promise<number[]> {
  const { lvolid } = attachment.volume;
  const { unasked } = await askStorageServers(
    attachment.grants,
    ({ agent }) => tools.agents.callStorage(agent, "revokeEpoch", { lvolid, epoch }),
    tools,
  );
  return unasked;
}
