import { describe, expect, test } from "vitest";
import { decodeResponse } from "../../shared/xmlrpc/decode-response.js";
import { XmlRpcEncodeError } from "../../shared/xmlrpc/encode-error.js";
import { encodeFault } from "../../shared/xmlrpc/encode-fault.js";
import { encodeValue } from "../../shared/xmlrpc/encode-value.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";

describe("encoding a value", () => {
  test.each<[string, XmlRpcValue, string]>([
    ["a whole number of 32 bits is an int", 2147483647, "<int>2147483647</int>"],
    ["a larger whole number is an i8", 2147483648, "<i8>2147483648</i8>"],
    ["a fraction is a double", 1.5, "<double>1.5</double>"],
    ["true is a boolean of 1", true, "<boolean>1</boolean>"],
    [
      "a date is written in UTC",
      new Date("1998-07-17T14:08:55.123Z"),
      "<dateTime.iso8601>19980717T14:08:55<",
    ],
    ["bytes are base64", new Uint8Array([1, 2, 255]), "<base64>AQL/</base64>"],
    ["markup is escaped", "<&>", "<string>&lt;&amp;&gt;</string>"],
    ["a carriage return is a reference", "a\rb", "<string>a&#13;b</string>"],
    ["an undefined member is left out", { a: undefined, b: 1 }, "<struct><member><name>b</name>"],
    ["a control character becomes U+FFFD", "a\0\x1b\x1f", "<string>a\uFFFD\uFFFD\uFFFD</string>"],
    ["half a surrogate pair becomes U+FFFD", "\ud83d \ude00", "<string>\uFFFD \uFFFD</string>"],
  ])("%s", (_name, value, xml) => {
    expect(encodeValue(value)).toContain(xml);
  });

  const cyclic: XmlRpcValue[] = [];
  cyclic.push(cyclic);

  test.each<[string, unknown]>([
    ["NaN", Number.NaN],
    ["an infinity", Number.NEGATIVE_INFINITY],
    ["null", null],
    ["undefined", undefined],
    ["undefined within an array", [undefined]],
    ["a bigint", 1n],
    ["a symbol", Symbol("a")],
    ["a function", () => 1],
    ["a Map", new Map()],
    ["an Error", new Error("a")],
    ["an invalid date", new Date(Number.NaN)],
    ["a date of the year 10000", new Date(Date.UTC(10000, 0))],
    ["a value that holds itself", cyclic],
  ])("refuses %s", (_name, value) => {
    expect(() => encodeValue(value as XmlRpcValue)).toThrow(XmlRpcEncodeError);
  });
});

describe("encoding a fault", () => {
  test.each([Number.NaN, 1.5, 2 ** 31, Number.POSITIVE_INFINITY])("sends 500 for the code %d", (code) => {
    const response = decodeResponse(Buffer.from(encodeFault({ code, faultString: "a" })));
    expect(response).toMatchObject({ fault: { code: 500 } });
  });

  test("does not fail at a text that XML cannot carry", () => {
    const response = decodeResponse(Buffer.from(encodeFault({ code: 5, faultString: "\0\ud800\uffff<" })));
    expect(response).toMatchObject({ fault: { code: 5, faultString: "\uFFFD\uFFFD\uFFFD<" } });
  });
});
