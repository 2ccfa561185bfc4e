import { Buffer } from "node:buffer";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeCall } from "../../shared/xmlrpc/decode-call.js";
import { decodeResponse } from "../../shared/xmlrpc/decode-response.js";
import { encodeCall } from "../../shared/xmlrpc/encode-call.js";
import { encodeFault } from "../../shared/xmlrpc/encode-fault.js";
import { encodeResponse } from "../../shared/xmlrpc/encode-response.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../shared/xmlrpc/value.js";

const NOT_XML = /[\p{Cs}\uFFFE\uFFFF]|(?![\t\n\r\x7f-\x9f])\p{Cc}/u;

const xmlText = fc.string({ unit: "binary" }).filter((text) => !NOT_XML.test(text));
const names = fc.oneof(
  xmlText,
  fc.constantFrom("__proto__", "constructor", "toString", "hasOwnProperty", ""),
);
const dates = fc
  .integer({ min: Date.UTC(1, 0, 1) / 1000, max: Date.UTC(9999, 11, 31) / 1000 })
  .map((seconds) => new Date(seconds * 1000));

/** Any value that XML-RPC can carry; structs without a prototype, as they are decoded. */
const values = fc.letrec<{ value: XmlRpcValue; struct: XmlRpcStruct }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    xmlText,
    fc.integer(),
    fc.maxSafeInteger(),
    fc.double({ noNaN: true, noDefaultInfinity: true }),
    fc.boolean(),
    dates,
    fc.uint8Array(),
    fc.array(tie("value")),
    tie("struct"),
  ),
  struct: fc.dictionary(names, tie("value"), { noNullPrototype: false }),
}));

function throughResponse(value: XmlRpcValue): XmlRpcValue {
  const response = decodeResponse(Buffer.from(encodeResponse(value)));
  if (response.kind === "fault") throw response.fault;
  return response.value;
}

describe("what is encoded and decoded again is the same", () => {
  test("for any value in an answer", () => {
    fc.assert(
      fc.property(values.value, (value) => {
        expect(throughResponse(value)).toEqual(value);
      }),
    );
  });

  test("for any method and parameters in a call", () => {
    const methods = xmlText.filter((text) => text.trim() !== "").map((text) => text.trim());
    fc.assert(
      fc.property(methods, fc.array(values.value), (method, params) => {
        expect(decodeCall(Buffer.from(encodeCall(method, params)))).toEqual({ method, params });
      }),
    );
  });

  test("for any fault", () => {
    fc.assert(
      fc.property(fc.integer(), xmlText, (code, faultString) => {
        const response = decodeResponse(Buffer.from(encodeFault({ code, faultString })));
        expect(response).toMatchObject({ kind: "fault", fault: { code, faultString } });
      }),
    );
  });

  test("for the text that XML would change or end", () => {
    const text = " \r\n\t\r ]]> <![CDATA[ <!-- &amp; &#13; \x7f \x85 \u2028 😀 ";
    expect(throughResponse([text])).toEqual([text]);
  });

  test("for the ends of the number ranges", () => {
    const numbers = [
      2 ** 31 - 1,
      -(2 ** 31),
      2 ** 31,
      -(2 ** 31) - 1,
      Number.MAX_SAFE_INTEGER,
      2 ** 53,
      5e-324,
    ];
    expect(throughResponse([...numbers, -0, Number.MAX_VALUE])).toEqual([...numbers, -0, Number.MAX_VALUE]);
  });
});

describe("a decoded struct", () => {
  test("has the member __proto__ as data, and no prototype", () => {
    const sent = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}') as XmlRpcStruct;
    const struct = throughResponse(sent) as XmlRpcStruct;
    expect(Object.keys(struct)).toEqual(["__proto__", "a"]);
    expect(Object.getPrototypeOf(struct)).toBeNull();
    expect(struct.polluted).toBeUndefined();
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  test("lacks every member that was not sent", () => {
    const struct = throughResponse({}) as XmlRpcStruct;
    for (const name of ["constructor", "toString", "__proto__", "valueOf"])
      expect(struct[name]).toBeUndefined();
  });
});
