import { XmlRpcFormatError } from "./format-error.js";
import { DEFAULT_MAX_DEPTH, readDocument } from "./read-document.js";
import { isXmlRpcArray, type XmlRpcValue } from "./value.js";

/** A call as it was sent. */
export interface XmlRpcCall {
  readonly method: string;
  readonly params: readonly XmlRpcValue[];
}

/**
 * Reads a `methodCall`.
 *
 * @param body UTF-8, of a size that the caller has bounded
 * @param maxDepth how many arrays and structs may lie within one another
 * @throws XmlRpcFormatError for everything else
 */
export function decodeCall(body: Uint8Array, maxDepth: number = DEFAULT_MAX_DEPTH): XmlRpcCall {
  const [method, params = []] = readDocument(body, "methodCall", maxDepth).children;
  if (typeof method !== "string" || method.trim() === "" || !isXmlRpcArray(params)) {
    throw new XmlRpcFormatError("The call names no method.");
  }
  return { method: method.trim(), params };
}
