import { INTERNAL_ERROR_CODE, REQUEST_ERROR_CODE, VasError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import { faultOf } from "../../shared/methods/faults.js";
import { type ManagerMethodName, managerMethods } from "../../shared/methods/manager-methods.js";
import { parseParams, readStruct } from "../../shared/methods/parse-call.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { createXmlRpcServer, type XmlRpcServer } from "../../shared/xmlrpc/server.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";
import type { ManagerHandlers } from "./handlers.js";

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_CONNECTIONS = 4_096;
/** Methods that change nothing are not worth a line of the log each. */
const QUIET = /^(list|show|get|check|identify)/;

/** The manager's XML-RPC server. Errors become faults here, and nowhere else. */
export function createDoor(handlers: ManagerHandlers, log: Log): XmlRpcServer {
  let calls = 0;
  return createXmlRpcServer({
    dispatch: async (name, given, { remoteAddress }) => {
      calls += 1;
      const request = log.child({ req: calls, method: name, from: remoteAddress });
      if (!isMethod(name)) throw new XmlRpcFault(REQUEST_ERROR_CODE, `method "${name}" is not supported`);
      try {
        const struct = readStruct(name, given);
        const params = parseParams(managerMethods[name], struct);
        const handle = handlers[name] as (params: unknown) => Promise<unknown>;
        const result = (await handle(params)) as XmlRpcValue;
        request[QUIET.test(name) ? "debug" : "info"]({ params }, "done");
        return result;
      } catch (error) {
        if (error instanceof VasError) {
          request.info(`refused: ${error.message}`);
          throw faultOf(error);
        }
        request.error({ err: error }, "failed by a defect of ours");
        throw new XmlRpcFault(INTERNAL_ERROR_CODE, "Internal Server Error", { cause: error });
      }
    },
    maxBodyBytes: MAX_BODY_BYTES,
    maxConnections: MAX_CONNECTIONS,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    keepAliveTimeoutMs: 60_000,
    onDefect: (error, method) =>
      log.error({ err: error, method }, "the XML-RPC server failed by a defect of ours"),
    onRefused: (reason, from) => log.info({ from }, `refused a request: ${reason}`),
  });
}

function isMethod(name: string): name is ManagerMethodName {
  return Object.hasOwn(managerMethods, name);
}
