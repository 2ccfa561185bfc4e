import { XMLRPC_VERSION } from "../../shared/states.js";
import { encodeCall } from "../../shared/xmlrpc/encode-call.js";
import type { XmlRpcStruct } from "../../shared/xmlrpc/value.js";

/** The body of a call with `ver`. */
export function bodyOf(method: string, members: XmlRpcStruct): string {
  return encodeCall(method, [{ ver: XMLRPC_VERSION, ...members }]);
}

/** The same call as a whole HTTP request. */
export function requestOf(method: string, members: XmlRpcStruct, version: "1.0" | "1.1" = "1.1"): string {
  const body = bodyOf(method, members);
  return `POST /RPC2 HTTP/${version}\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
}
