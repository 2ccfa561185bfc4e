import { onTestFinished } from "vitest";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import type { XmlRpcDispatch } from "../../shared/xmlrpc/handle-request.js";
import {
  createXmlRpcServer,
  type XmlRpcServer,
  type XmlRpcServerOptions,
} from "../../shared/xmlrpc/server.js";
import { isXmlRpcStruct, type XmlRpcValue } from "../../shared/xmlrpc/value.js";

/** The body of a call that is answered with "still here". */
export const GOOD_BODY =
  "<methodCall><methodName>echo</methodName><params><param><value>still here</value></param></params></methodCall>";

/** The same as a whole HTTP request. */
export const GOOD_REQUEST = `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${GOOD_BODY.length}\r\n\r\n${GOOD_BODY}`;

/** `echo` answers its parameter; `version` has a defect: it throws when it is given no struct. */
export const echo: XmlRpcDispatch = async (method, params) => {
  const [first] = params;
  if (method === "echo") return first ?? "";
  if (method === "version") return versionOf(first);
  throw new XmlRpcFault(1, `method "${method}" is not supported`);
};

function versionOf(params: XmlRpcValue | undefined): XmlRpcValue {
  if (!isXmlRpcStruct(params)) throw new TypeError("Cannot read properties of undefined (reading 'ver')");
  return params.ver ?? 0;
}

/** A server on a free port of loopback, with short timeouts, that is closed when the test ends. */
export async function startServer(
  options: Partial<XmlRpcServerOptions> = {},
): Promise<{ readonly port: number; readonly server: XmlRpcServer }> {
  const server = createXmlRpcServer({
    dispatch: echo,
    maxBodyBytes: 4_000_000,
    maxHeldBytes: 64_000_000,
    maxConnections: 500,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 10_000,
    keepAliveTimeoutMs: 10_000,
    onDefect: () => undefined,
    ...options,
  });
  const { port } = await server.listen("127.0.0.1", 0);
  onTestFinished(() => server.close(0));
  return { port, server };
}
