import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** Text, or what is too long or too odd to be written down. */
export type Piece =
  | string
  | { readonly repeat: string; readonly times: number }
  | { readonly hex: string }
  | { readonly gzip: readonly Piece[] };

/** One row of hostile-requests.json: either a body to be posted, or all bytes of a connection. */
export interface HostileRequest {
  readonly name: string;
  readonly body?: readonly Piece[];
  readonly headers?: Readonly<Record<string, string>>;
  readonly raw?: readonly Piece[];
  /** What the client does after sending; without it, it waits for what the server does. */
  readonly ending?: "end" | "reset";
  /**
   * `fault CODE`, an HTTP status, `answer`, `harmless` (an answer or a fault, but no defect of ours), or `closed` or
   * `reset`: the connection's end.
   */
  readonly expect: string;
}

/** The table, shared with `bench/xmlrpc-codec.mjs`. */
export function readHostileRequests(): readonly HostileRequest[] {
  return JSON.parse(readFileSync(new URL("./hostile-requests.json", import.meta.url), "utf8"));
}

/** The bytes that a row sends. */
export function toBytes(request: HostileRequest): Buffer {
  if (request.raw !== undefined) return join(request.raw);
  const body = join(request.body ?? []);
  const headers = {
    Host: "x",
    "Content-Type": "text/xml",
    "Content-Length": body.length,
    ...request.headers,
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`POST /RPC2 HTTP/1.1\r\n${lines.join("")}\r\n`), body]);
}

function join(pieces: readonly Piece[]): Buffer {
  return Buffer.concat(pieces.map(pieceToBytes));
}

function pieceToBytes(piece: Piece): Buffer {
  if (typeof piece === "string") return Buffer.from(piece);
  if ("hex" in piece) return Buffer.from(piece.hex, "hex");
  if ("gzip" in piece) return gzipSync(join(piece.gzip));
  return Buffer.from(piece.repeat.repeat(piece.times));
}
