import { describe, expect, test } from "vitest";
import { decodeCall } from "../../shared/xmlrpc/decode-call.js";
import { decodeResponse } from "../../shared/xmlrpc/decode-response.js";
import { XmlRpcFormatError } from "../../shared/xmlrpc/format-error.js";

function decode(value: string): unknown {
  const params = `<params><param>${value}</param></params>`;
  const response = decodeResponse(Buffer.from(`<methodResponse>${params}</methodResponse>`));
  return response.kind === "value" ? response.value : response.fault;
}

describe("decoding a value", () => {
  test.each<[string, string, unknown]>([
    ["text without a type is a string, blanks and all", "<value> a </value>", " a "],
    ["an empty value is an empty string", "<value/>", ""],
    ["blanks around a type are ignored", "<value>\n <int>5</int>\n </value>", 5],
    ["blanks around digits are ignored", "<value><int> 5\n</int></value>", 5],
    ["a sign and zeros are digits too", "<value><i4>+005</i4></value>", 5],
    ["an int of -0 is 0", "<value><int>-0</int></value>", 0],
    ["an i8 of 2^53 - 1 is exact", "<value><i8>9007199254740991</i8></value>", Number.MAX_SAFE_INTEGER],
    ["a whole double is a number", "<value><double>5.0</double></value>", 5],
    ["a double may have an exponent", "<value><double>-1.5E-3</double></value>", -0.0015],
    ["a double may start with its point", "<value><double>.5</double></value>", 0.5],
    ["a CDATA section is text", "<value><![CDATA[<a>]]>b</value>", "<a>b"],
    ["a comment is nothing", "<value><int>1<!-- b -->2</int></value>", 12],
    [
      "base64 may be broken into lines",
      "<value><base64>AQ\r\n L/</base64></value>",
      new Uint8Array([1, 2, 255]),
    ],
    ["an empty array", "<value><array><data/></array></value>", []],
    ["an attribute is ignored", '<value a="b"><int>1</int></value>', 1],
  ])("%s", (_name, xml, value) => {
    expect(decode(xml)).toEqual(value);
  });

  test.each([
    ["19980717T14:08:55", "1998-07-17T14:08:55.000Z"],
    ["19980717T140855", "1998-07-17T14:08:55.000Z"],
    ["1998-07-17T14:08:55Z", "1998-07-17T14:08:55.000Z"],
    ["1998-07-17T14:08:55.5", "1998-07-17T14:08:55.500Z"],
    ["19980717T14:08:55+02:00", "1998-07-17T12:08:55.000Z"],
    ["19980717T14:08:55-0130", "1998-07-17T15:38:55.000Z"],
  ])("the date %s is %s", (text, iso) => {
    expect(decode(`<value><dateTime.iso8601>${text}</dateTime.iso8601></value>`)).toEqual(new Date(iso));
  });
});

describe("decoding a call", () => {
  test("takes a call without parameters", () => {
    const body = Buffer.from("<methodCall><methodName> a.b </methodName></methodCall>");
    expect(decodeCall(body)).toEqual({ method: "a.b", params: [] });
  });

  test("takes a byte order mark", () => {
    const body = Buffer.from(
      "\uFEFF<?xml version='1.0' encoding='UTF-8'?><methodCall><methodName>é</methodName></methodCall>",
    );
    expect(decodeCall(body).method).toBe("é");
  });

  test("takes nesting up to the limit that it is given, and refuses one more", () => {
    const nested = (depth: number): Buffer =>
      Buffer.from(
        `<methodCall><methodName>a</methodName><params><param>${"<value><array><data>".repeat(depth)}` +
          `${"</data></array></value>".repeat(depth)}</param></params></methodCall>`,
      );
    expect(decodeCall(nested(3), 3).params).toEqual([[[[]]]]);
    expect(() => decodeCall(nested(4), 3)).toThrow("Arrays and structs are nested deeper than 3.");
  });

  test("says what is wrong, and where", () => {
    const complaint = (body: string) => () => decodeCall(Buffer.from(body));
    expect(complaint("<a/>")).toThrow('The document must be a <methodCall>, not "a".');
    expect(complaint("<methodCall>\n<b/>")).toThrow('The element "b" is out of place in <methodCall>.');
    expect(complaint("<methodCall>\n&b;")).toThrow("The XML is malformed at 2:3: undefined entity.");
    expect(complaint(`<${"a".repeat(999)}/>`)).toThrow(`not "${"a".repeat(40)}…".`);
  });
});

describe("decoding an answer refuses", () => {
  test.each([
    ["an empty fault", "<fault/>"],
    ["a fault that is no struct", "<fault><value>a</value></fault>"],
    [
      "a fault without a text",
      "<fault><value><struct><member><name>faultCode</name><value><int>1</int></value></member></struct></value></fault>",
    ],
    ["no parameter", "<params/>"],
    ["two parameters", `<params>${"<param><value/></param>".repeat(2)}</params>`],
    ["nothing", ""],
    ["a parameter and a fault", "<params><param><value/></param></params><fault/>"],
  ])("%s", (_name, content) => {
    const body = Buffer.from(`<methodResponse>${content}</methodResponse>`);
    expect(() => decodeResponse(body)).toThrow(XmlRpcFormatError);
  });
});
