import type { Log } from "../../shared/log.js";
import { createXmlRpcServer, type XmlRpcServer } from "../../shared/xmlrpc/server.js";
import { answerCall } from "./answer-call.js";
import type { CallServices } from "./call.js";
import type { ManagerHandlers } from "./handlers.js";

const MAX_BODY_BYTES = 1024 * 1024;
const MAX_HELD_BYTES = 64 * MAX_BODY_BYTES;
const MAX_CONNECTIONS = 4_096;

/** The manager's XML-RPC server. */
export function createDoor(
  handlers: ManagerHandlers,
  services: Omit<CallServices, "onAccepted">,
  log: Log,
): XmlRpcServer {
  let calls = 0;
  return createXmlRpcServer({
    dispatch: (name, given, { remoteAddress, signal }) => {
      calls += 1;
      const request = log.child({ req: calls, method: name, from: remoteAddress });
      return answerCall(name, given, request, { handlers, services, signal });
    },
    maxBodyBytes: MAX_BODY_BYTES,
    maxHeldBytes: MAX_HELD_BYTES,
    maxConnections: MAX_CONNECTIONS,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    keepAliveTimeoutMs: 60_000,
    onDefect: (error, method) =>
      log.error({ err: error, method }, "the XML-RPC server failed by a defect of ours"),
    onRefused: (reason, from) => log.info({ from }, `refused a request: ${reason}`),
  });
}
