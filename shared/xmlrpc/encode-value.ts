import { formatDateTime } from "./date-time.js";
import { XmlRpcEncodeError } from "./encode-error.js";
import { escapeText } from "./escape-text.js";
import type { XmlRpcStruct, XmlRpcValue } from "./value.js";

/** As deep as the other side reads; also what ends the encoding of a cyclic value. */
const MAX_DEPTH = 64;

/**
 * Writes a value as a `<value>` element. The strings are joined with `+=`, which V8 keeps as a rope until the document
 * is turned into bytes once (`npm run bench:xmlrpc`).
 *
 * @throws XmlRpcEncodeError for what XML-RPC cannot carry: null, undefined within an array, NaN, infinities, dates out
 *   of years 0 to 9999, bigints, functions, symbols, instances of classes, nesting deeper than 64
 */
export function encodeValue(value: XmlRpcValue): string {
  return encode(value, 0);
}

function encode(value: XmlRpcValue, depth: number): string {
  switch (typeof value) {
    case "string":
      return `<value><string>${escapeText(value)}</string></value>`;
    case "number":
      return encodeNumber(value);
    case "boolean":
      return value ? "<value><boolean>1</boolean></value>" : "<value><boolean>0</boolean></value>";
    case "object":
      return encodeObject(value, depth);
    default:
      throw new XmlRpcEncodeError(`XML-RPC cannot carry a value of type ${typeof value}.`);
  }
}

function encodeNumber(value: number): string {
  if (Object.is(value, -0)) return "<value><double>-0.0</double></value>";
  if (Number.isSafeInteger(value)) {
    const type = value === (value | 0) ? "int" : "i8";
    return `<value><${type}>${value}</${type}></value>`;
  }
  if (!Number.isFinite(value)) throw new XmlRpcEncodeError(`XML-RPC cannot carry the number ${value}.`);
  return `<value><double>${value}</double></value>`;
}

function encodeObject(value: Exclude<XmlRpcValue, string | number | boolean>, depth: number): string {
  if (value instanceof Date) return encodeDate(value);
  if (value instanceof Uint8Array) return encodeBytes(value);
  if (depth === MAX_DEPTH) {
    throw new XmlRpcEncodeError(`The value is nested deeper than ${MAX_DEPTH} arrays and structs.`);
  }
  if (Array.isArray(value)) return encodeArray(value, depth + 1);
  if (!isPlain(value)) {
    const type = value === null ? "null" : value.constructor?.name;
    throw new XmlRpcEncodeError(`XML-RPC cannot carry ${type}.`);
  }
  return encodeStruct(value, depth + 1);
}

function encodeDate(date: Date): string {
  const text = formatDateTime(date);
  if (text === undefined)
    throw new XmlRpcEncodeError("XML-RPC carries only valid dates of the years 0 to 9999.");
  return `<value><dateTime.iso8601>${text}</dateTime.iso8601></value>`;
}

function encodeBytes(bytes: Uint8Array): string {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
  return `<value><base64>${text}</base64></value>`;
}

function encodeArray(items: readonly XmlRpcValue[], depth: number): string {
  let xml = "<value><array><data>";
  for (const item of items) xml += encode(item, depth);
  return `${xml}</data></array></value>`;
}

function encodeStruct(struct: XmlRpcStruct, depth: number): string {
  let xml = "<value><struct>";
  for (const name of Object.keys(struct)) {
    const member = struct[name];
    if (member !== undefined)
      xml += `<member><name>${escapeText(name)}</name>${encode(member, depth)}</member>`;
  }
  return `${xml}</struct></value>`;
}

/** An instance of a class would lose what makes it one: a Map, for one, has no members to send. */
function isPlain(value: object | null): value is XmlRpcStruct {
  if (value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}
