import { decodeScalar } from "./decode-scalar.js";
import { quoteReceived, XmlRpcFormatError } from "./format-error.js";
import { type ElementRule, GRAMMAR, mayHold } from "./grammar.js";
import type { XmlRpcValue } from "./value.js";

/** The content of a document's root element. */
export interface DocumentContent {
  /** One value for each child of the root, in order. */
  readonly children: readonly XmlRpcValue[];
  /** The name of the last child. */
  readonly lastChild: string;
}

interface Frame {
  readonly name: string;
  readonly rule: ElementRule;
  readonly items: XmlRpcValue[];
  text: string;
}

const BLANK = /^[ \t\r\n]*$/;

/**
 * Builds values out of a document's tags as they come. One frame per open element; a closing element becomes a value
 * that its parent keeps. The grammar is checked at each opening tag, so the stack is never deeper than `maxDepth`
 * arrays and structs need.
 */
export class ValueStack {
  readonly #root: string;
  readonly #maxDepth: number;
  readonly #frames: Frame[] = [];
  #top: Frame | undefined;
  #depth = 0;
  #content: DocumentContent | undefined;
  #lastClosed = "";

  constructor(root: string, maxDepth: number) {
    this.#root = root;
    this.#maxDepth = maxDepth;
  }

  /** @throws XmlRpcFormatError if the element may not stand here */
  open(name: string): void {
    const parent = this.#top;
    const rule = GRAMMAR.get(name);
    const allowed =
      parent === undefined ? name === this.#root : mayHold(parent.rule, name, parent.items.length);
    if (rule === undefined || !allowed) throw misplaced(name, parent, this.#root);
    if (parent !== undefined) dropBlanks(parent);
    if (isContainer(name)) {
      this.#depth += 1;
      if (this.#depth > this.#maxDepth) {
        throw new XmlRpcFormatError(`Arrays and structs are nested deeper than ${this.#maxDepth}.`);
      }
    }
    this.#top = { name, rule, items: [], text: "" };
    this.#frames.push(this.#top);
  }

  /** @throws XmlRpcFormatError for text between elements */
  text(text: string): void {
    const frame = this.#top;
    if (frame === undefined) return;
    frame.text += text;
    if (!frame.rule.holdsText || frame.items.length > 0) dropBlanks(frame);
  }

  /** @throws XmlRpcFormatError if the element that ends here is incomplete or its text is not of its type */
  close(): void {
    const frame = this.#frames.pop();
    if (frame === undefined) return;
    if (frame.items.length < frame.rule.required)
      throw new XmlRpcFormatError(`<${frame.name}> is incomplete.`);
    if (isContainer(frame.name)) this.#depth -= 1;
    this.#top = this.#frames.at(-1);
    if (this.#top === undefined) {
      this.#content = { children: frame.items, lastChild: this.#lastClosed };
    } else {
      this.#top.items.push(toValue(frame));
    }
    this.#lastClosed = frame.name;
  }

  /** What the root element held, once it is closed. */
  content(): DocumentContent {
    if (this.#content === undefined) throw new XmlRpcFormatError("The document is incomplete.");
    return this.#content;
  }
}

function isContainer(name: string): boolean {
  return name === "array" || name === "struct";
}

function dropBlanks(frame: Frame): void {
  if (frame.text === "") return;
  if (!BLANK.test(frame.text)) {
    throw new XmlRpcFormatError(`The text ${quoteReceived(frame.text)} in <${frame.name}> is out of place.`);
  }
  frame.text = "";
}

function misplaced(name: string, parent: Frame | undefined, root: string): XmlRpcFormatError {
  if (name === "nil" || name.endsWith(":nil")) {
    return new XmlRpcFormatError("<nil/> is not supported: leave out what has no value.");
  }
  if (parent === undefined) {
    return new XmlRpcFormatError(`The document must be a <${root}>, not ${quoteReceived(name)}.`);
  }
  return new XmlRpcFormatError(`The element ${quoteReceived(name)} is out of place in <${parent.name}>.`);
}

function toValue(frame: Frame): XmlRpcValue {
  switch (frame.name) {
    case "value":
    case "array":
    case "param":
    case "fault":
      // The grammar has counted: without a child it can only be a value that is text.
      return frame.items[0] ?? frame.text;
    case "params":
    case "data":
    case "member":
      return frame.items;
    case "struct":
      return toStruct(frame.items);
    case "name":
    case "methodName":
      return frame.text;
    default:
      return decodeScalar(frame.name, frame.text);
  }
}

/** @param members pairs of name and value */
function toStruct(members: readonly XmlRpcValue[]): XmlRpcValue {
  // No prototype, so that a member named __proto__ is data like any other.
  const struct: Record<string, XmlRpcValue> = Object.create(null);
  for (const member of members) {
    const [name, value] = member as readonly [string, XmlRpcValue];
    if (name in struct) throw new XmlRpcFormatError(`A struct has two members named ${quoteReceived(name)}.`);
    struct[name] = value;
  }
  return struct;
}
