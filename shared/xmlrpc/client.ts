import { setMaxListeners } from "node:events";
import { Agent } from "node:http";
import { XmlRpcTimeoutError, XmlRpcTransportError, XmlRpcUnreachableError } from "./call-errors.js";
import { decodeResponse, type XmlRpcResponse } from "./decode-response.js";
import { encodeCall } from "./encode-call.js";
import { type PostOptions, type PostOutcome, post } from "./post.js";
import type { XmlRpcStruct, XmlRpcValue } from "./value.js";

/** What a client is made of. Times are in milliseconds, sizes in bytes. */
export interface XmlRpcClientOptions {
  /** Addresses of the same server, in the order in which they are tried. */
  readonly addresses: readonly { readonly host: string; readonly port: number }[];
  /** For a whole call, over all addresses, unless the call gives its own. */
  readonly timeoutMs: number;
  readonly maxResponseBytes: number;
}

/** What one call may ask for. */
export interface XmlRpcCallOptions {
  readonly timeoutMs?: number;
  /** Ends the call, which then rejects with the signal's reason. Whether the call ran is unknown. */
  readonly signal?: AbortSignal;
  /** A second delivery does no harm; false if not given. What it changes: see `createXmlRpcClient`. */
  readonly repeatable?: boolean;
}

/** A client of one server. */
export interface XmlRpcClient {
  /**
   * Calls a method with one struct.
   *
   * @throws XmlRpcFault if the server answers a fault
   * @throws XmlRpcUnreachableError if nothing was delivered
   * @throws XmlRpcTimeoutError, XmlRpcTransportError if the call was sent and its outcome is unknown
   * @throws XmlRpcEncodeError if `params` cannot be carried; nothing is sent
   */
  call(method: string, params: XmlRpcStruct, options?: XmlRpcCallOptions): Promise<XmlRpcValue>;
  /** Ends all connections. Calls under way fail with XmlRpcTransportError, later ones with XmlRpcUnreachableError. */
  close(): void;
}

/** The first packet of a connection is sent again after 1 s and after 3 s: two losses are survived, more are not. */
const MAX_CONNECT_MS = 3500;

/** Idle connections are dropped after this, or one second before the server says that it drops them. */
const IDLE_MS = 30_000;

/**
 * Makes a client that tries several addresses of one server.
 *
 * The next address is tried only when there was no connection to the one before: refused, unreachable, or not there
 * within its share of the deadline (and 3.5 s at most). Once connected, a call is not sent to another address.
 *
 * Connections are kept for `repeatable` calls. The server may close a kept connection at the very moment when a call
 * is written to it; the client sees a reset and cannot tell if the call ran. A repeatable call is then sent once more, on
 * a fresh connection. Other calls never travel on a kept connection, so the race cannot befall them: each pays one
 * handshake, far less than the commit it causes, and a reset then means that the server really went away.
 */
export function createXmlRpcClient(options: XmlRpcClientOptions): XmlRpcClient {
  const kept = new Agent({ keepAlive: true, timeout: IDLE_MS });
  const fresh = new Agent({ keepAlive: false });
  const closing = new AbortController();
  setMaxListeners(0, closing.signal); // one for each call under way

  const exchange = async (target: Omit<PostOptions, "agent">, repeatable: boolean): Promise<PostOutcome> => {
    const outcome = await post({ ...target, agent: repeatable ? kept : fresh });
    return outcome.kind === "stale" ? post({ ...target, agent: fresh }) : outcome;
  };

  return {
    call: async (method, params, callOptions = {}) => {
      if (closing.signal.aborted)
        throw new XmlRpcUnreachableError(`${method} was not sent: the client is closed.`);
      const body = Buffer.from(encodeCall(method, [params]));
      const timeoutMs = callOptions.timeoutMs ?? options.timeoutMs;
      const connectMs = Math.min(MAX_CONNECT_MS, Math.ceil(timeoutMs / options.addresses.length));
      const { signal, hasTimedOut, release } = startDeadline(timeoutMs, [callOptions.signal, closing.signal]);
      try {
        const failures: unknown[] = [];
        for (const { host, port } of options.addresses) {
          const { maxResponseBytes } = options;
          const target = { host, port, body, connectMs, maxResponseBytes, signal };
          const outcome = await exchange(target, callOptions.repeatable ?? false);
          callOptions.signal?.throwIfAborted();
          const where = `${method} at ${host}:${port}`;
          if (outcome.kind === "answer") return readAnswer(outcome.status, outcome.body, where);
          if (outcome.kind !== "unreachable")
            throw notAnswered(where, outcome.cause, hasTimedOut(), timeoutMs);
          failures.push(outcome.cause);
        }
        throw notReached(method, options.addresses, failures);
      } finally {
        release();
      }
    },
    close: () => {
      closing.abort();
      kept.destroy();
      fresh.destroy();
    },
  };
}

function startDeadline(timeoutMs: number, signals: readonly (AbortSignal | undefined)[]) {
  const controller = new AbortController();
  let timedOut = false;
  const abort = (): void => controller.abort();
  const timer = setTimeout(() => {
    timedOut = true;
    abort();
  }, timeoutMs);
  for (const signal of signals) {
    if (signal?.aborted) abort();
    signal?.addEventListener("abort", abort);
  }
  return {
    signal: controller.signal,
    hasTimedOut: () => timedOut,
    // The signals outlive the call; without this each call would leave a listener on them.
    release: () => {
      clearTimeout(timer);
      for (const signal of signals) signal?.removeEventListener("abort", abort);
    },
  };
}

function readAnswer(status: number, body: Buffer, where: string): XmlRpcValue {
  if (status !== 200) throw new XmlRpcTransportError(`${where} was answered with HTTP status ${status}.`);
  const response = decodeAnswer(body, where);
  if (response.kind === "fault") throw response.fault;
  return response.value;
}

function decodeAnswer(body: Buffer, where: string): XmlRpcResponse {
  try {
    return decodeResponse(body);
  } catch (cause) {
    throw new XmlRpcTransportError(`${where} was not answered in XML-RPC: ${sentenceOf(cause)}`, { cause });
  }
}

function notAnswered(where: string, cause: unknown, timedOut: boolean, timeoutMs: number): Error {
  return timedOut
    ? new XmlRpcTimeoutError(`${where} was not answered within ${timeoutMs} ms.`, { cause })
    : new XmlRpcTransportError(`${where} was sent, and its answer was lost: ${sentenceOf(cause)}`, { cause });
}

function notReached(
  method: string,
  addresses: XmlRpcClientOptions["addresses"],
  failures: readonly unknown[],
): XmlRpcUnreachableError {
  const tried = addresses.map(({ host, port }, place) => `${host}:${port} (${sentenceOf(failures[place])})`);
  return new XmlRpcUnreachableError(`${method} reached none of ${tried.join(", ")}.`, {
    cause: new AggregateError(failures),
  });
}

function sentenceOf(cause: unknown): string {
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}
