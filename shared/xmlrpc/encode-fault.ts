import { encodeValue } from "./encode-value.js";
import type { XmlRpcFault } from "./fault.js";

const DEFECT = 500;

/** More than any sentence of ours: what lies beyond was quoted from the call, and is not sent back whole. */
const MAX_TEXT = 1024;

/**
 * Writes a `methodResponse` with a fault. It never fails: a code that is no 32-bit int becomes 500, characters that
 * XML cannot carry become U+FFFD, and a text of more than 1024 characters is cut.
 */
export function encodeFault(fault: Pick<XmlRpcFault, "code" | "faultString">): string {
  const faultCode = fault.code === (fault.code | 0) ? fault.code | 0 : DEFECT;
  const text = `${fault.faultString}`;
  const faultString = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  const struct = encodeValue({ faultCode, faultString });
  return `<?xml version="1.0"?>\n<methodResponse><fault>${struct}</fault></methodResponse>\n`;
}
