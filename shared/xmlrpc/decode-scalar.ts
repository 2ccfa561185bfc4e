import { parseDateTime } from "./date-time.js";
import { quoteReceived, XmlRpcFormatError } from "./format-error.js";
import type { XmlRpcValue } from "./value.js";

const INTEGER = /^[+-]?\d+$/;
const DOUBLE = /^[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;
const WHITE_SPACE = /[ \t\r\n]+/g;

const INT_MIN = -0x80000000;
const INT_MAX = 0x7fffffff;

/**
 * Reads the text of one scalar element, such as `int` and "5". Blanks around a number are ignored, in a string they
 * count.
 *
 * @throws XmlRpcFormatError if the text is not of that type or does not fit it
 */
export function decodeScalar(type: string, text: string): XmlRpcValue {
  switch (type) {
    case "string":
      return text;
    case "int":
    case "i4":
      return decodeInteger(type, text, INT_MIN, INT_MAX);
    case "i8":
      return decodeInteger(type, text, Number.MIN_SAFE_INTEGER, Number.MAX_SAFE_INTEGER);
    case "boolean":
      return decodeBoolean(text);
    case "double":
      return decodeDouble(text);
    case "dateTime.iso8601":
      return parseDateTime(text);
    case "base64":
      return decodeBase64(text);
    default:
      throw new XmlRpcFormatError(`<${type}> is not a type of XML-RPC.`);
  }
}

function decodeInteger(type: string, text: string, min: number, max: number): number {
  const digits = text.trim();
  if (!INTEGER.test(digits)) throw new XmlRpcFormatError(`${quoteReceived(text)} is not an ${type}.`);
  const value = Number(digits);
  if (value < min || value > max) {
    throw new XmlRpcFormatError(
      `${quoteReceived(text)} is not between ${min} and ${max}, as an ${type} must be.`,
    );
  }
  return value === 0 ? 0 : value; // not -0, which no int can be
}

function decodeBoolean(text: string): boolean {
  const digit = text.trim();
  if (digit !== "0" && digit !== "1")
    throw new XmlRpcFormatError(`${quoteReceived(text)} is not a boolean, 0 or 1.`);
  return digit === "1";
}

function decodeDouble(text: string): number {
  const digits = text.trim();
  const value = DOUBLE.test(digits) ? Number(digits) : Number.NaN;
  if (!Number.isFinite(value)) throw new XmlRpcFormatError(`${quoteReceived(text)} is not a finite double.`);
  return value;
}

function decodeBase64(text: string): Uint8Array {
  const digits = text.replace(WHITE_SPACE, "");
  if (digits.length % 4 !== 0 || !BASE64.test(digits)) {
    throw new XmlRpcFormatError(`${quoteReceived(text)} is not base64.`);
  }
  // A copy of its own: a small Buffer is a view into memory that Node shares among many.
  return new Uint8Array(Buffer.from(digits, "base64"));
}
