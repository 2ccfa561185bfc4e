import { XmlRpcFormatError } from "./format-error.js";
import { DEFAULT_MAX_DEPTH, readDocument, readDocumentInSlices } from "./read-document.js";
import { isXmlRpcArray, type XmlRpcValue } from "./value.js";
import type { DocumentContent } from "./value-stack.js";

/** A call as it was sent. */
export interface XmlRpcCall {
  readonly method: string;
  readonly params: readonly XmlRpcValue[];
}

const ROOT = "methodCall";

/**
 * Reads a `methodCall`.
 *
 * @param body UTF-8, of a size that the caller has bounded
 * @param maxDepth how many arrays and structs may lie within one another
 * @throws XmlRpcFormatError for everything else
 */
export function decodeCall(body: Uint8Array, maxDepth: number = DEFAULT_MAX_DEPTH): XmlRpcCall {
  return toCall(readDocument(body, ROOT, maxDepth));
}

/** The same, without holding up others for as long as a large body takes. */
export async function decodeCallInSlices(body: Uint8Array, maxDepth: number): Promise<XmlRpcCall> {
  return toCall(await readDocumentInSlices(body, ROOT, maxDepth));
}

function toCall({ children }: DocumentContent): XmlRpcCall {
  const [method, params = []] = children;
  if (typeof method !== "string" || method.trim() === "" || !isXmlRpcArray(params)) {
    throw new XmlRpcFormatError("The call names no method.");
  }
  return { method: method.trim(), params };
}
