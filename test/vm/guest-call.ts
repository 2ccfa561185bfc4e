import { XMLRPC_VERSION } from "../../shared/states.js";
import { decodeResponse } from "../../shared/xmlrpc/decode-response.js";
import { encodeCall } from "../../shared/xmlrpc/encode-call.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../shared/xmlrpc/value.js";
import type { Machine } from "./machine.js";

/**
 * Calls a method of an agent in a machine, from there. Only the exchange itself is done in the machine, and by its
 * shell: a program of its own for each call would take far longer to start.
 *
 * @throws XmlRpcFault, and Error if nobody answers
 */
export async function callInGuest(
  machine: Machine,
  { host, port }: { readonly host: string; readonly port: number },
  method: string,
  params: XmlRpcStruct,
): Promise<XmlRpcValue> {
  const body = encodeCall(method, [{ ...params, ver: XMLRPC_VERSION }]);
  const lines = [
    "POST / HTTP/1.0",
    `Host: ${host}`,
    "Content-Type: text/xml",
    `Content-Length: ${Buffer.byteLength(body)}`,
    "",
    body,
  ];
  const request = Buffer.from(lines.join("\r\n")).toString("base64");
  const answer = await machine.run(`
    exec 3<>/dev/tcp/${host}/${port} || exit
    base64 -d >&3 <<<'${request}'
    cat <&3`);
  const response = decodeResponse(Buffer.from(answer.slice(answer.indexOf("\r\n\r\n") + 4)));
  if (response.kind === "fault") throw response.fault;
  return response.value;
}
