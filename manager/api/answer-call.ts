import { INTERNAL_ERROR_CODE, REQUEST_ERROR_CODE, VasError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import { faultOf } from "../../shared/methods/faults.js";
import { type ManagerMethodName, managerMethods } from "../../shared/methods/manager-methods.js";
import { parseParams, readStruct } from "../../shared/methods/parse-call.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";
import { Call, type CallServices } from "./call.js";
import type { ManagerHandlers } from "./handlers.js";
import { answerSystemMethod, isSystemMethod } from "./system-methods.js";

/** Of what a stranger may make as long as he likes. */
const MAX_NAME = 64;
const MAX_LOGGED = 2_000;

export interface Answering {
  readonly handlers: ManagerHandlers;
  readonly services: Omit<CallServices, "onAccepted">;
  /** Aborted when the client's connection has broken. A call that has begun is done nevertheless. */
  readonly signal: AbortSignal;
}

/**
 * Runs one call. What it changed is told in the log at once, with the number of the commit, and how it ended. What only
 * read is not worth a line.
 *
 * @throws XmlRpcFault: errors become faults here, and nowhere else.
 */
export async function answerCall(
  name: string,
  given: readonly XmlRpcValue[],
  request: Log,
  answering: Answering,
): Promise<XmlRpcValue> {
  try {
    if (isSystemMethod(name))
      return await answerSystemMethod(name, given, {
        runCall: (inner, params) => answerCall(inner, params, request.child({ method: inner }), answering),
        signal: answering.signal,
      });
    if (!isMethod(name))
      throw new XmlRpcFault(REQUEST_ERROR_CODE, `method "${name.slice(0, MAX_NAME)}" is not supported`);
    return await runMethod(name, given, request, answering);
  } catch (error) {
    if (error instanceof XmlRpcFault) throw error;
    if (error instanceof VasError) throw faultOf(error);
    request.error({ err: error }, "failed by a defect of ours");
    throw new XmlRpcFault(INTERNAL_ERROR_CODE, "Internal Server Error", { cause: error });
  }
}

async function runMethod(
  name: ManagerMethodName,
  given: readonly XmlRpcValue[],
  request: Log,
  { handlers, services }: Answering,
): Promise<XmlRpcValue> {
  let params: unknown;
  const told = ({ commit, jobid }: Call) => ({
    params: abridge(params),
    [commit?.isNew ? "commit" : "after"]: commit?.number,
    ...(jobid === undefined ? {} : { job: jobid }),
  });
  const call = new Call({
    ...services,
    onAccepted: (accepted) => request.info(told(accepted), "accepted"),
  });
  try {
    params = parseParams(managerMethods[name], readStruct(name, given));
    const handle = handlers[name] as (params: unknown, call: Call) => Promise<unknown>;
    const result = (await handle(params, call)) as XmlRpcValue;
    const level = call.commit?.isNew ? "info" : "debug";
    if (request.isLevelEnabled(level)) request[level](told(call), "done");
    return result;
  } catch (error) {
    if (error instanceof VasError) request.info(told(call), `refused: ${error.message}`);
    throw error;
  }
}

/** Parameters as a line of the log has them: whole, unless they are a list that nobody reads. */
function abridge(params: unknown): unknown {
  const text = JSON.stringify(params) ?? "";
  return text.length <= MAX_LOGGED ? params : `${text.slice(0, MAX_LOGGED)}…`;
}

function isMethod(name: string): name is ManagerMethodName {
  return Object.hasOwn(managerMethods, name);
}
