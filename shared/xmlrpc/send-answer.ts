import type { IncomingMessage, ServerResponse } from "node:http";
import { promisify } from "node:util";
import { constants, gzip } from "node:zlib";

const pack = promisify(gzip);

/** Below this an answer fits one packet as it is. */
const PACK_ABOVE_BYTES = 1400;

/** How long a refused client may go on sending before the connection is cut under it. */
const LINGER_MS = 1000;

/** `gzip` or `x-gzip` among the accepted encodings, and not with the quality 0. */
const ACCEPTS_GZIP = /(?:^|,)\s*(?:x-)?gzip\s*(?:;\s*q=(?!0(?:\.0{0,3})?\s*(?:,|$))[\d.]+\s*)?(?:,|$)/i;

/** Sends a document of XML-RPC with status 200, packed if it is large and the client accepts that. */
export async function sendAnswer(
  request: IncomingMessage,
  response: ServerResponse,
  xml: string,
): Promise<void> {
  if (response.destroyed) return; // the client has left; there is no one to pack it for
  let body: Buffer = Buffer.from(xml);
  response.setHeader("Content-Type", "text/xml");
  if (body.length > PACK_ABOVE_BYTES && ACCEPTS_GZIP.test(`${request.headers["accept-encoding"] ?? ""}`)) {
    body = await pack(body, { level: constants.Z_BEST_SPEED });
    response.setHeader("Content-Encoding", "gzip");
  }
  response.setHeader("Content-Length", body.length);
  response.end(body);
}

/** What a refused request is answered. */
export interface Refusal {
  readonly status: number;
  readonly contentType: "text/xml" | "text/plain";
  readonly body: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Sends a refusal. If some of the request's body has not arrived, the connection ends with it – but not at once: a
 * socket closed with unread data resets the connection, and the client would never see why it was refused. So the rest
 * is read and dropped until the client stops, or for one second.
 */
export function sendRefusal(request: IncomingMessage, response: ServerResponse, refusal: Refusal): void {
  const body = Buffer.from(refusal.body);
  const unread = hasBody(request) && !request.complete;
  if (unread) response.setHeader("Connection", "close");
  response.writeHead(refusal.status, {
    ...refusal.headers,
    "Content-Type": refusal.contentType,
    "Content-Length": body.length,
  });
  if (!unread) {
    response.end(body);
    return;
  }
  response.write(body);
  const linger = setTimeout(() => response.end(), LINGER_MS);
  const finish = (): void => {
    clearTimeout(linger);
    response.end();
  };
  request.once("end", finish);
  request.once("close", finish);
  request.resume();
}

function hasBody(request: IncomingMessage): boolean {
  return (
    request.headers["transfer-encoding"] !== undefined || Number(request.headers["content-length"] ?? 0) > 0
  );
}
