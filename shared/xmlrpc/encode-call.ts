import { encodeValue } from "./encode-value.js";
import { escapeText } from "./escape-text.js";
import type { XmlRpcValue } from "./value.js";

/**
 * Writes a `methodCall`.
 *
 * @throws XmlRpcEncodeError if a parameter is something that XML-RPC cannot carry
 */
export function encodeCall(method: string, params: readonly XmlRpcValue[]): string {
  let xml = `<?xml version="1.0"?>\n<methodCall><methodName>${escapeText(method)}</methodName><params>`;
  for (const param of params) xml += `<param>${encodeValue(param)}</param>`;
  return `${xml}</params></methodCall>\n`;
}
