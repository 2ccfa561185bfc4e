import { setImmediate as nextTurn } from "node:timers/promises";
import { SaxesParser } from "saxes";
import { XmlRpcFormatError } from "./format-error.js";
import { type DocumentContent, ValueStack } from "./value-stack.js";

/** Arrays and structs within one another; far above any call or answer of ours, far below what a stack can take. */
export const DEFAULT_MAX_DEPTH = 64;

/** Read at a stretch: some 5 to 10 ms of tags. */
const SLICE_CHARACTERS = 64 * 1024;

/** The parser puts whole names, of any length, into its messages. */
const MAX_MESSAGE = 200;

const ACCEPTED_ENCODINGS = new Set(["utf-8", "utf8", "us-ascii", "ascii"]);

/**
 * Reads a whole XML-RPC document. Its size is the caller's to bound.
 *
 * @param root the name that the root element must have
 * @throws XmlRpcFormatError if it is not UTF-8, not XML, not XML-RPC, has a DTD or is nested deeper than `maxDepth`
 */
export function readDocument(body: Uint8Array, root: string, maxDepth: number): DocumentContent {
  const { parser, stack } = startReading(root, maxDepth);
  parser.write(decodeUtf8(body)).close();
  return stack.content();
}

/**
 * The same in slices, with a turn of the event loop between them: a megabyte of tags takes a tenth of a second, for which
 * no other call would be answered.
 */
export async function readDocumentInSlices(
  body: Uint8Array,
  root: string,
  maxDepth: number,
): Promise<DocumentContent> {
  const { parser, stack } = startReading(root, maxDepth);
  const text = decodeUtf8(body);
  for (let from = 0; from < text.length; from += SLICE_CHARACTERS) {
    if (from > 0) await nextTurn();
    parser.write(text.slice(from, from + SLICE_CHARACTERS));
  }
  parser.close();
  return stack.content();
}

function startReading(root: string, maxDepth: number): { parser: SaxesParser; stack: ValueStack } {
  const stack = new ValueStack(root, maxDepth);
  // XML 1.1 would let control characters in.
  const parser = new SaxesParser({ defaultXMLVersion: "1.0", forceXMLVersion: true });
  parser.on("error", ({ message }) => {
    throw new XmlRpcFormatError(`The XML is malformed at ${message.slice(0, MAX_MESSAGE)}`);
  });
  parser.on("xmldecl", ({ encoding }) => {
    if (encoding !== undefined && !ACCEPTED_ENCODINGS.has(encoding.toLowerCase())) {
      throw new XmlRpcFormatError("The XML must be encoded in UTF-8.");
    }
  });
  parser.on("doctype", () => {
    throw new XmlRpcFormatError("The XML must not have a document type.");
  });
  parser.on("opentag", (tag) => stack.open(tag.name));
  parser.on("text", (text) => stack.text(text));
  parser.on("cdata", (text) => stack.text(text));
  parser.on("closetag", () => stack.close());
  return { parser, stack };
}

function decodeUtf8(body: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(body);
  } catch (cause) {
    throw new XmlRpcFormatError("The body is not valid UTF-8.", { cause });
  }
}
