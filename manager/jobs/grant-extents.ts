import type { AgentAddress } from "../../shared/agent-address.js";
import type { storageAgentMethods } from "../../shared/methods/agent-methods.js";
import type { ParamsOf, Sent } from "../../shared/methods/method.js";
import { readChap } from "../operations/read-chap.js";
import type { HandlerTools } from "./handler.js";

type Grant = Omit<Sent<ParamsOf<typeof storageAgentMethods.grantExtents>>, "hsvrid" | "chap">;

/** Calls grantExtents of a storage server. @throws VasError, see there, or EHOSTDOWN if it does not answer */
export async function grantExtents(
  agent: AgentAddress,
  grant: Grant & { readonly hsvrid: number | null },
  tools: HandlerTools,
): Promise<void> {
  const hsvrid = grant.hsvrid ?? 0;
  const chap = await tools.executor.runQuietly(readChap, { hsvrid });
  await tools.agents.callStorage(agent, "grantExtents", {
    ...grant,
    hsvrid,
    ...(chap === undefined ? {} : { chap }),
  });
}
