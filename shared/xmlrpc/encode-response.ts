import { encodeValue } from "./encode-value.js";
import type { XmlRpcValue } from "./value.js";

/**
 * Writes a `methodResponse` with a value.
 *
 * @throws XmlRpcEncodeError if the value is something that XML-RPC cannot carry
 */
export function encodeResponse(value: XmlRpcValue): string {
  const params = `<params><param>${encodeValue(value)}</param></params>`;
  return `<?xml version="1.0"?>\n<methodResponse>${params}</methodResponse>\n`;
}
