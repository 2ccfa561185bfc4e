import { VasError } from "../../../shared/errors.js";
import type { Log } from "../../../shared/log.js";
import type { AgentsPort } from "../../agents-port/agents-port.js";
import type { Executor } from "../../operations/operation.js";
import { listUnrevoked, type ReturnedServer, recordRevoked } from "../../operations/revoke-later.js";

export interface LeftoverTools {
  readonly executor: Executor;
  readonly agents: AgentsPort;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/**
 * Storage servers that could not be asked when an epoch was closed, and that are back, revoke it now. Nothing waits for this:
 * the grant of the next epoch would close it as well; but until then a grant stood that nobody needs. What a server does not
 * do is asked again at the next round.
 */
export async function revokeLeftovers(tools: LeftoverTools): Promise<void> {
  const servers = await tools.executor.runQuietly(listUnrevoked, {});
  await Promise.all(servers.map((server) => revokeAt(server, tools)));
}

async function revokeAt({ ssvrid, agent, epochs }: ReturnedServer, tools: LeftoverTools): Promise<void> {
  const { executor, agents, log, signal } = tools;
  for (const { lvolid, epoch } of epochs) {
    if (signal.aborted) return;
    try {
      await agents.callStorage(agent, "revokeEpoch", { lvolid, epoch });
      await executor.runQuietly(recordRevoked, { ssvrid, lvolid, epoch });
    } catch (error) {
      if (!(error instanceof VasError)) throw error;
      log.warn({ err: error, ssvrid, lvolid, epoch }, "a closed epoch could not be revoked yet");
      if (error.errno === "EHOSTDOWN") return;
    }
  }
}
