import { encodeValue } from "./encode-value.js";
import type { XmlRpcFault } from "./fault.js";

const DEFECT = 500;

/**
 * Writes a `methodResponse` with a fault. It never fails: a code that is no 32-bit int becomes 500, and characters
 * that XML cannot carry become U+FFFD.
 */
export function encodeFault(fault: Pick<XmlRpcFault, "code" | "faultString">): string {
  const faultCode = fault.code === (fault.code | 0) ? fault.code | 0 : DEFECT;
  const struct = encodeValue({ faultCode, faultString: `${fault.faultString}` });
  return `<?xml version="1.0"?>\n<methodResponse><fault>${struct}</fault></methodResponse>\n`;
}
