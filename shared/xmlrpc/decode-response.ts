import { XmlRpcFault } from "./fault.js";
import { XmlRpcFormatError } from "./format-error.js";
import { DEFAULT_MAX_DEPTH, readDocument } from "./read-document.js";
import { isXmlRpcArray, isXmlRpcStruct, type XmlRpcValue } from "./value.js";

/** What a server answered: one value or a fault. */
export type XmlRpcResponse =
  | { readonly kind: "value"; readonly value: XmlRpcValue }
  | { readonly kind: "fault"; readonly fault: XmlRpcFault };

/**
 * Reads a `methodResponse`.
 *
 * @param body UTF-8, of a size that the caller has bounded
 * @param maxDepth how many arrays and structs may lie within one another
 * @throws XmlRpcFormatError for everything else
 */
export function decodeResponse(body: Uint8Array, maxDepth: number = DEFAULT_MAX_DEPTH): XmlRpcResponse {
  const { children, lastChild } = readDocument(body, "methodResponse", maxDepth);
  const [content] = children;
  if (lastChild === "fault") return { kind: "fault", fault: toFault(content) };
  const [value, ...others] = isXmlRpcArray(content) ? content : [];
  if (value === undefined || others.length > 0) {
    throw new XmlRpcFormatError("The answer must have exactly one parameter.");
  }
  return { kind: "value", value };
}

function toFault(content: XmlRpcValue | undefined): XmlRpcFault {
  const members = isXmlRpcStruct(content) ? content : {};
  const { faultCode, faultString } = members;
  if (!Number.isInteger(faultCode) || typeof faultString !== "string") {
    throw new XmlRpcFormatError("The fault must be a struct of a faultCode, an int, and a faultString.");
  }
  return new XmlRpcFault(Number(faultCode), faultString);
}
