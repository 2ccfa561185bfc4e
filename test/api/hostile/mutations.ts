import fc from "fast-check";
import { bodyOf } from "../call-request.js";
import type { Known } from "./known.js";
import { goodCalls } from "./member-kinds.js";

/** Something done to a document. Places are fractions of what there is, so that one change fits every document. */
type Change = (body: Buffer) => Buffer;

/** Values that may stand where another one was; none is a small number, which might be the id of something. */
const VALUES = [
  "<nil/>",
  "<int>-1</int>",
  "<int>2147483647</int>",
  "<i8>9007199254740991</i8>",
  "<double>1e308</double>",
  "<double>-0</double>",
  "<boolean>0</boolean>",
  "<string/>",
  "<string>' OR '1'='1</string>",
  "<base64>AAAA</base64>",
  "<dateTime.iso8601>00000101T00:00:00</dateTime.iso8601>",
  "<array><data/></array>",
  "<struct/>",
  "<![CDATA[<int>5</int>]]>",
  "&#0;",
];
const TAGS = [
  "int",
  "i8",
  "string",
  "boolean",
  "double",
  "value",
  "struct",
  "array",
  "data",
  "member",
  "name",
  "param",
];
const ODD_BYTES = [0x00, 0x0a, 0x0d, 0x22, 0x26, 0x27, 0x3c, 0x3e, 0x5d, 0x7f, 0x80, 0xc0, 0xed, 0xff];

const place = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true });
const at = (body: Buffer, fraction: number): number => Math.floor(body.length * fraction);

function splice(body: Buffer, from: number, count: number, bytes: Uint8Array): Buffer {
  return Buffer.concat([body.subarray(0, from), bytes, body.subarray(from + count)]);
}

/** Applies a change to one of the matches, if there is one. */
function onMatch(
  body: Buffer,
  pattern: RegExp,
  fraction: number,
  replace: (match: string) => string,
): Buffer {
  const text = body.toString("latin1");
  const matches = [...text.matchAll(pattern)];
  const match = matches[Math.floor(matches.length * fraction)];
  if (match === undefined) return body;
  return splice(body, match.index, match[0].length, Buffer.from(replace(match[0])));
}

const byte = fc.oneof(fc.constantFrom(...ODD_BYTES), fc.nat(255));
const overBytes: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ place, byte }).map(
    ({ place, byte }) =>
      (body: Buffer) =>
        splice(body, at(body, place), 1, Buffer.of(byte)),
  ),
  fc.record({ place, bytes: fc.uint8Array({ minLength: 1, maxLength: 20 }) }).map(
    ({ place, bytes }) =>
      (body: Buffer) =>
        splice(body, at(body, place), 0, bytes),
  ),
  fc.record({ place, count: fc.integer({ min: 1, max: 40 }) }).map(
    ({ place, count }) =>
      (body: Buffer) =>
        splice(body, at(body, place), count, Buffer.alloc(0)),
  ),
  place.map((end) => (body: Buffer) => body.subarray(0, at(body, end))),
  fc.record({ from: place, length: place }).map(({ from, length }) => (body: Buffer) => {
    const start = at(body, from);
    return splice(body, start, 0, body.subarray(start, start + at(body, length)));
  }),
);

const overTree: fc.Arbitrary<Change> = fc.oneof(
  fc.record({ place, value: fc.constantFrom(...VALUES) }).map(
    ({ place, value }) =>
      (body: Buffer) =>
        onMatch(body, /<(int|string|boolean)>[^<]*<\/\1>/g, place, () => value),
  ),
  fc.record({ place, tag: fc.constantFrom(...TAGS) }).map(
    ({ place, tag }) =>
      (body: Buffer) =>
        onMatch(body, /<\/?[a-z]\w*/g, place, (old) => old.replace(/\w+/, tag)),
  ),
  place.map((where) => (body: Buffer) => onMatch(body, /<member>.*?<\/member>/g, where, () => "")),
  place.map((where) => (body: Buffer) => onMatch(body, /<member>.*?<\/member>/g, where, (old) => old + old)),
  fc.record({ place, depth: fc.integer({ min: 1, max: 200 }) }).map(
    ({ place, depth }) =>
      (body: Buffer) =>
        onMatch(
          body,
          /<value>.*?<\/value>/g,
          place,
          (old) => "<value><array><data>".repeat(depth) + old + "</data></array></value>".repeat(depth),
        ),
  ),
);

const HEADERS = [
  "Content-Encoding: gzip",
  "Transfer-Encoding: chunked",
  "Expect: 100-continue",
  "Connection: close",
  "Content-Type: application/json",
  "Accept-Encoding: gzip, *;q=0",
  "Upgrade: h2c",
];

/** A call as it is sent, spoiled. Most have the right length: what is hostile in them then gets past HTTP. */
export interface Mutant {
  readonly method: string;
  readonly bytes: Buffer;
}

function toRequest(body: Buffer, headers: readonly string[], lengthError: number): Buffer {
  const head = ["POST /RPC2 HTTP/1.1", "Host: x", ...headers, `Content-Length: ${body.length + lengthError}`];
  return Buffer.concat([Buffer.from(`${head.join("\r\n")}\r\n\r\n`), body]);
}

/** With another address than that of a server that is there, a registration would be right. */
function registersNobody({ method, bytes }: Mutant, known: Known): boolean {
  const addresses = [known.headAddress, known.storageAddress];
  const isServer = method === "registerHeadServer" || method === "registerStorageServer";
  return !isServer || addresses.some((address) => bytes.includes(`<string>${address}</string>`));
}

/** Valid calls after one to three changes to their bytes, their XML or their values, and some to their headers. */
export function mutants(known: Known): fc.Arbitrary<Mutant> {
  const calls = Object.entries(goodCalls(known));
  return fc
    .record({
      call: fc.constantFrom(...calls),
      changes: fc.array(fc.oneof(overBytes, overTree), { minLength: 1, maxLength: 3 }),
      headers: fc.oneof({ weight: 4, arbitrary: fc.constant([]) }, fc.subarray(HEADERS, { maxLength: 2 })),
      lengthError: fc.oneof({ weight: 9, arbitrary: fc.constant(0) }, fc.integer({ min: -50, max: 50 })),
    })
    .map(({ call: [method, members], changes, headers, lengthError }) => {
      let body: Buffer = Buffer.from(bodyOf(method, members));
      for (const change of changes) body = change(body);
      return { method, bytes: toRequest(body, headers, lengthError) };
    })
    .filter((mutant) => registersNobody(mutant, known));
}
