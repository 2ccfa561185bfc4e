import { type Agent, type ClientRequest, request as httpRequest, type IncomingMessage } from "node:http";
import { readBody } from "./read-body.js";

/** One HTTP exchange with one address. */
export interface PostOptions {
  readonly host: string;
  readonly port: number;
  readonly agent: Agent;
  readonly body: Buffer;
  /** How long connecting may take, in milliseconds. */
  readonly connectMs: number;
  readonly maxResponseBytes: number;
  /** Ends the exchange. */
  readonly signal: AbortSignal;
}

/**
 * What became of an exchange. The difference that matters is what can have been delivered:
 * `unreachable`: nothing, there was no connection; `stale`: perhaps all, a connection kept from an earlier call broke
 * before a byte of the answer; `lost`: perhaps all.
 */
export type PostOutcome =
  | { readonly kind: "answer"; readonly status: number; readonly body: Buffer }
  | { readonly kind: "unreachable" | "stale" | "lost"; readonly cause: unknown };

/** Posts a document to `/RPC2` and collects what is answered. It never rejects. */
export function post(options: PostOptions): Promise<PostOutcome> {
  return new Promise((resolve) => {
    const { host, port, agent, signal, body } = options;
    const headers = { "Content-Type": "text/xml", "Content-Length": body.length };
    const request = httpRequest({ method: "POST", path: "/RPC2", host, port, agent, signal, headers });
    const isConnected = watchConnecting(request, options.connectMs);
    const fail = (cause: unknown): void => {
      if (!isConnected()) resolve({ kind: "unreachable", cause });
      else resolve({ kind: request.reusedSocket && !signal.aborted ? "stale" : "lost", cause });
    };
    // Closed without an error or a response: Node's way with an unasked-for switch of protocols.
    const closedEarly = (): void => fail(new Error("the connection was closed"));
    request.on("error", fail);
    request.once("close", closedEarly);
    request.once("response", (response) => {
      request.off("close", closedEarly);
      request.off("error", fail);
      request.on("error", () => undefined); // the response has it too
      void receive(response, options.maxResponseBytes).then((outcome) => {
        if (outcome.kind !== "answer") request.destroy();
        resolve(outcome);
      });
    });
    request.end(body);
  });
}

/** Bounds the time of connecting, and tells if a connection is there: from then on, bytes can have been delivered. */
function watchConnecting(request: ClientRequest, connectMs: number): () => boolean {
  let connected = false;
  request.once("socket", (socket) => {
    if (!socket.connecting) {
      connected = true;
      return;
    }
    const bound = setTimeout(
      () => request.destroy(new Error(`no connection within ${connectMs} ms`)),
      connectMs,
    );
    socket.once("connect", () => {
      connected = true;
    });
    socket.once("connect", () => clearTimeout(bound));
    socket.once("close", () => clearTimeout(bound));
  });
  return () => connected;
}

async function receive(response: IncomingMessage, maxBytes: number): Promise<PostOutcome> {
  try {
    return { kind: "answer", status: response.statusCode ?? 0, body: await readBody(response, maxBytes) };
  } catch (cause) {
    return { kind: "lost", cause };
  }
}
