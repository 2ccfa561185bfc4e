import { gzipSync } from "node:zlib";
import type { HostileRequest, Piece } from "../../xmlrpc/hostile-request.js";
import { bodyOf } from "../call-request.js";

const BODY = bodyOf("listHeadServers", {});
const LENGTH = Buffer.byteLength(BODY);
const PACKED = gzipSync(BODY);
const MEGABYTE = 1024 * 1024;

/** A list call over whose request line and headers a row has full control. */
const raw = (name: string, outcome: string, head: string, ...rest: Piece[]): HostileRequest => ({
  name,
  raw: [`${head}\r\n\r\n`, ...rest],
  expect: outcome,
});
const withHeaders = (
  name: string,
  outcome: string,
  headers: readonly string[],
  ...rest: Piece[]
): HostileRequest => raw(name, outcome, ["POST /RPC2 HTTP/1.1", "Host: x", ...headers].join("\r\n"), ...rest);
const lineOf = (name: string, outcome: string, line: string): HostileRequest =>
  raw(name, outcome, `${line}\r\nHost: x\r\nContent-Length: ${LENGTH}`, BODY);
const chunked = (name: string, outcome: string, ...rest: Piece[]): HostileRequest =>
  withHeaders(name, outcome, ["Transfer-Encoding: chunked"], ...rest);
const packed = (name: string, outcome: string, bytes: Uint8Array, encoding = "gzip"): HostileRequest => ({
  name,
  body: [{ hex: Buffer.from(bytes).toString("hex") }],
  headers: { "Content-Encoding": encoding },
  expect: outcome,
});

const lines: readonly HostileRequest[] = [
  lineOf("HTTP/1.0 with a Host", "200", "POST /RPC2 HTTP/1.0"),
  lineOf("a query behind the path", "answer", "POST /RPC2?ver=6 HTTP/1.1"),
  ...[
    "/RPC2/",
    "/rpc2",
    "/RPC2%00",
    "//RPC2",
    "/RPC2;x",
    "/RPC3",
    "/./RPC2",
    "/RPC2/../RPC2",
    "/%52PC2",
    "*",
    "http://x/RPC2",
    "/api",
    "/metrics",
  ].map((path) => lineOf(`the path ${path}`, "404", `POST ${path} HTTP/1.1`)),
  ...["PROPFIND", "MKCOL", "SEARCH", "PURGE", "SUBSCRIBE", "LINK"].map((method) =>
    lineOf(`the HTTP method ${method}`, "405", `${method} /RPC2 HTTP/1.1`),
  ),
  ...[
    "post /RPC2 HTTP/1.1",
    "POSTT /RPC2 HTTP/1.1",
    "POST  HTTP/1.1",
    "POST /RPC2 HTTP/1.1 x",
    "POST /RPC2 HTTPS/1.1",
    "POST /RPC2 HTTP/1",
    "POST /R PC2 HTTP/1.1",
    "POST\t/RPC2 HTTP/1.1",
    "BREW /RPC2 HTCPCP/1.0",
  ].map((line) => lineOf(`the request line ${JSON.stringify(line)}`, "400", line)),
  { name: "HTTP/0.9", raw: ["GET /\r\n"], expect: "400", ending: "end" },
  { name: "HTTP/0.9 with a body", raw: ["POST /RPC2\r\n\r\n", BODY], expect: "400" },
  { name: "the preface of SMTP", raw: ["EHLO x\r\n"], expect: "400" },
  { name: "the preface of SSH", raw: ["SSH-2.0-x\r\n"], expect: "400" },
  {
    name: "all bytes",
    raw: [{ hex: Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)).toString("hex") }],
    expect: "400",
  },
  { name: "a megabyte of NULs", raw: [{ repeat: "\0", times: MEGABYTE }], expect: "400" },
  {
    name: "a megabyte of line ends",
    raw: [{ repeat: "\r\n", times: MEGABYTE / 2 }],
    expect: "closed",
    ending: "end",
  },
];

const lengths: readonly HostileRequest[] = [
  withHeaders(
    "a Content-Length that is too small",
    "fault 1",
    [`Content-Length: ${LENGTH - 20}`],
    BODY.slice(0, LENGTH - 20),
  ),
  withHeaders(
    "a Content-Length that is too small, and the rest of the body as the next request",
    "400",
    [`Content-Length: ${LENGTH - 20}`],
    BODY,
  ),
  {
    ...withHeaders(
      "a Content-Length that is too large, then the end",
      "closed",
      [`Content-Length: ${LENGTH + 20}`],
      BODY,
    ),
    ending: "end",
  },
  withHeaders("a Content-Length of 0, and then a body", "fault 1", ["Content-Length: 0"]),
  ...["+5", "0x10", "5 5", "5, 5", "", "1e3", "９"].map((length) =>
    withHeaders(`a Content-Length of ${JSON.stringify(length)}`, "400", [`Content-Length: ${length}`], BODY),
  ),
  withHeaders("a Content-Length of 2^53", "413", ["Content-Length: 9007199254740992"], BODY),
  withHeaders("a Content-Length of 2^64", "400", ["Content-Length: 18446744073709551616"], BODY),
  withHeaders("a blank before the colon of Content-Length", "400", [`Content-Length : ${LENGTH}`], BODY),
  withHeaders("a folded header", "400", ["A: b\r\n c", `Content-Length: ${LENGTH}`], BODY),
  withHeaders("lines that end without a carriage return", "400", [`A: b\nContent-Length: ${LENGTH}`], BODY),
  withHeaders("two Hosts", "answer", ["Host: y", `Content-Length: ${LENGTH}`], BODY),
  withHeaders("a header named __proto__", "answer", ["__proto__: x", `Content-Length: ${LENGTH}`], BODY),
  withHeaders(
    "1,900 headers",
    "answer",
    [...Array(1_900).keys()].map((n) => `A${n}: b`).concat(`Content-Length: ${LENGTH}`),
    BODY,
  ),
  withHeaders("headers of 17 kB", "431", [`A: ${"a".repeat(17_000)}`, `Content-Length: ${LENGTH}`], BODY),
  withHeaders(
    "a Connection header of everything",
    "answer",
    ["Connection: close, keep-alive, upgrade, te", `Content-Length: ${LENGTH}`],
    BODY,
  ),
];

const chunks: readonly HostileRequest[] = [
  chunked(
    "one byte in each chunk",
    "answer",
    ...[...BODY].map((character) => `1\r\n${character}\r\n`),
    "0\r\n\r\n",
  ),
  chunked(
    "a chunk size in capitals with zeros before it",
    "answer",
    `000${LENGTH.toString(16).toUpperCase()}\r\n${BODY}\r\n0\r\n\r\n`,
  ),
  chunked("trailers", "answer", `${LENGTH.toString(16)}\r\n${BODY}\r\n0\r\nA: b\r\nC: d\r\n\r\n`),
  chunked("no chunk but the last one", "fault 1", "0\r\n\r\n"),
  ...["-1", "0x5", "g", "5 ", "+5", "ffffffffffffffff", "5;\n", ""].map((size) =>
    chunked(`a chunk size of ${JSON.stringify(size)}`, "closed", `${size}\r\n${BODY}\r\n0\r\n\r\n`),
  ),
  {
    ...chunked("chunks that end before the last one", "closed", `${LENGTH.toString(16)}\r\n${BODY}\r\n`),
    ending: "end",
  },
  chunked(
    "a trailer of 200,000 bytes",
    "431",
    `${LENGTH.toString(16)}\r\n${BODY}\r\n0\r\nA: `,
    { repeat: "a", times: 200_000 },
    "\r\n\r\n",
  ),
  withHeaders(
    "chunks and a Content-Length",
    "400",
    ["Content-Length: 5", "Transfer-Encoding: chunked"],
    "0\r\n\r\n",
  ),
  withHeaders("a Transfer-Encoding of identity", "400", ["Transfer-Encoding: identity"], BODY),
  withHeaders(
    "a Transfer-Encoding of chunked, twice",
    "400",
    ["Transfer-Encoding: chunked, identity"],
    "0\r\n\r\n",
  ),
  withHeaders("a Transfer-Encoding of xchunked", "400", ["Transfer-Encoding: xchunked"], "0\r\n\r\n"),
];

const gzips: readonly HostileRequest[] = [
  packed("gzip of a call", "answer", PACKED),
  packed("x-gzip in capitals", "answer", PACKED, "X-GZIP"),
  packed("gzip within gzip", "fault 1", gzipSync(PACKED)),
  packed(
    "gzip with a wrong checksum",
    "fault 1",
    PACKED.map((byte, at) => (at === PACKED.length - 8 ? byte ^ 1 : byte)),
  ),
  packed("gzip with its end cut off", "fault 1", PACKED.subarray(0, -4)),
  packed(
    "gzip of two parts that make one document",
    "answer",
    Buffer.concat([gzipSync(BODY.slice(0, 50)), gzipSync(BODY.slice(50))]),
  ),
  packed("gzip of a gigabyte in a megabyte", "413", gzipSync(Buffer.alloc(1024 * MEGABYTE))),
  packed("gzip of one byte too many", "413", gzipSync(Buffer.alloc(MEGABYTE + 1, " "))),
  packed(
    "gzip of a megabyte of parts with nothing in them",
    "fault 1",
    Buffer.concat(Array(50_000).fill(gzipSync(""))),
  ),
  ...["br", "deflate", "zstd", "gzip;q=1", "", "identity, gzip"].map((encoding) =>
    packed(`a Content-Encoding of ${JSON.stringify(encoding)}`, "415", PACKED, encoding),
  ),
];

const pipelines: readonly HostileRequest[] = [
  {
    name: "calls behind a bad one in the same packet",
    raw: [
      { repeat: `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n<`, times: 5 },
      `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${LENGTH}\r\n\r\n${BODY}`,
    ],
    expect: "answer",
  },
  {
    name: "ten calls, and then the end",
    raw: [
      { repeat: `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${LENGTH}\r\n\r\n${BODY}`, times: 10 },
    ],
    ending: "end",
    expect: "answer",
  },
  {
    name: "ten calls, and then a reset",
    raw: [
      { repeat: `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${LENGTH}\r\n\r\n${BODY}`, times: 10 },
    ],
    ending: "reset",
    expect: "reset",
  },
  {
    name: "a thousand calls on one connection at once",
    raw: [
      { repeat: `POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: ${LENGTH}\r\n\r\n${BODY}`, times: 1_000 },
    ],
    expect: "answer",
  },
  {
    name: "ten thousand GETs on one connection at once",
    raw: [{ repeat: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", times: 10_000 }],
    expect: "405",
  },
];

/** Requests that are not HTTP, or not as a client of XML-RPC sends them. */
export const wrongHttp: readonly HostileRequest[] = [...lines, ...lengths, ...chunks, ...gzips, ...pipelines];
