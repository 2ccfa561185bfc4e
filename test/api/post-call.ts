import { decodeResponse, type XmlRpcResponse } from "../../shared/xmlrpc/decode-response.js";
import { encodeCall } from "../../shared/xmlrpc/encode-call.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";

/** Calls a method with any parameters, right or wrong. */
export async function postCall(
  url: string,
  method: string,
  params: readonly XmlRpcValue[],
): Promise<XmlRpcResponse> {
  const headers = { "content-type": "text/xml" };
  const answer = await fetch(url, { method: "POST", headers, body: encodeCall(method, params) });
  return decodeResponse(Buffer.from(await answer.arrayBuffer()));
}
