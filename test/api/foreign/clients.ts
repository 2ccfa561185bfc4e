import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { MANAGER_PORT } from "../../../cli/local/plan.js";
import { XMLRPC_VERSION } from "../../../shared/states.js";
import { decodeResponse } from "../../../shared/xmlrpc/decode-response.js";
import { XmlRpcFault } from "../../../shared/xmlrpc/fault.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../../shared/xmlrpc/value.js";
import type { TestCluster } from "../../harness/cluster.js";
import { findTool } from "../../harness/tools.js";
import { RawConnection } from "../../xmlrpc/raw-connection.js";
import { requestOf } from "../call-request.js";

/** A call without its `ver`. */
export type Call = readonly [method: string, params: XmlRpcStruct];
/** What a call was answered, in a form that is the same for all clients. */
export type Outcome = { readonly value: unknown } | { readonly code: number; readonly text: string };
/** Makes one call after the other. */
export type Client = (cluster: TestCluster, calls: readonly Call[]) => Promise<Outcome[]>;

interface PackageClient {
  methodCall(method: string, params: unknown[], done: (error: unknown, value: unknown) => void): void;
}
/** The npm package `xmlrpc`, which has no types. */
const xmlrpc: { createClient(url: string): PackageClient } = createRequire(import.meta.url)("xmlrpc");

const script = fileURLToPath(new URL("python-client.py", import.meta.url));

const withVersion = (params: XmlRpcStruct): XmlRpcStruct => ({ ver: XMLRPC_VERSION, ...params });

function oneByOne(call: (cluster: TestCluster, ...call: Call) => Promise<Outcome>): Client {
  return async (cluster, calls) => {
    const outcomes: Outcome[] = [];
    for (const [method, params] of calls) outcomes.push(await call(cluster, method, params));
    return outcomes;
  };
}

/** What was thrown as a fault, by whatever class; all else is thrown on. */
function faultOutcome(error: unknown): Outcome {
  if (error instanceof XmlRpcFault) return { code: error.code, text: error.faultString };
  const { faultCode, faultString } = error as { faultCode?: unknown; faultString?: unknown };
  if (typeof faultCode !== "number" || typeof faultString !== "string") throw error;
  return { code: faultCode, text: faultString };
}

const ours = oneByOne((cluster, method, params) =>
  cluster.raw(method, withVersion(params)).then((value) => ({ value }), faultOutcome),
);

const npmPackage = oneByOne((cluster, method, params) => {
  const client = xmlrpc.createClient(`${cluster.managerUrl}RPC2`);
  const answer = new Promise((resolve, reject) => {
    client.methodCall(method, [withVersion(params)], (error, value) => {
      if (error === null || error === undefined) resolve(value);
      else reject(error);
    });
  });
  return answer.then((value) => ({ value }), faultOutcome);
});

/** A connection for each call, which the server has to end; the answer is what came until then. */
const http10 = oneByOne(async ({ manager }, method, params) => {
  const connection = await RawConnection.open(MANAGER_PORT, manager.rpcAddress);
  connection.send(requestOf(method, params, "1.0"));
  await connection.until("the end", ({ closed }) => closed);
  const [, body = ""] = connection.received.split("\r\n\r\n");
  const response = decodeResponse(Buffer.from(body, "latin1"));
  return response.kind === "fault"
    ? faultOutcome(response.fault)
    : { value: response.value satisfies XmlRpcValue };
});

const python =
  (mode: string): Client =>
  async (cluster, calls) => {
    const child = spawn(findTool("python3"), [script, cluster.managerUrl, mode], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdin.end(JSON.stringify(calls.map(([method, params]) => [method, withVersion(params)])));
    return JSON.parse(await text(child.stdout));
  };

export const clients: Readonly<Record<string, Client>> = {
  "our client": ours,
  "Python's xmlrpc.client": python("plain"),
  "Python's xmlrpc.client with built-in types": python("builtin-types"),
  "Python's xmlrpc.client that allows None": python("allow-none"),
  "Python's xmlrpc.client that packs its requests": python("gzip"),
  "Python's xmlrpc.client with a connection for each call": python("new-connections"),
  "the npm package xmlrpc": npmPackage,
  "HTTP/1.0 without keep-alive": http10,
};
