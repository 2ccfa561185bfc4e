import type { IncomingMessage, ServerResponse } from "node:http";
import { BudgetSpentError, type ByteBudget } from "./byte-budget.js";
import { decodeCallInSlices, type XmlRpcCall } from "./decode-call.js";
import { encodeFault } from "./encode-fault.js";
import { encodeResponse } from "./encode-response.js";
import { XmlRpcFault } from "./fault.js";
import { XmlRpcFormatError } from "./format-error.js";
import { BodyTooLargeError, readBody, unpackBody } from "./read-body.js";
import { type Refusal, sendAnswer, sendRefusal } from "./send-answer.js";
import type { XmlRpcValue } from "./value.js";

/** Who called. */
export interface XmlRpcCallContext {
  readonly remoteAddress: string;
  /**
   * Aborted when the connection breaks before the answer, and when the server closes over a running call. Not when the
   * client only ends its side: it may be waiting.
   */
  readonly signal: AbortSignal;
}

/**
 * Runs one call. A thrown XmlRpcFault is the answer; anything else thrown is a defect of ours, which the client sees
 * as fault 500 and nothing more.
 */
export type XmlRpcDispatch = (
  method: string,
  params: readonly XmlRpcValue[],
  context: XmlRpcCallContext,
) => Promise<XmlRpcValue>;

/** What handling a request needs to know. */
export interface RequestRules {
  readonly dispatch: XmlRpcDispatch;
  readonly maxBodyBytes: number;
  readonly maxDepth: number;
  /** Of all bodies that have arrived and are not calls yet. */
  readonly bodies: ByteBudget;
  readonly onDefect: (error: unknown, method: string) => void;
  readonly onRefused?: ((reason: string, remoteAddress: string) => void) | undefined;
}

const PATHS = new Set(["/", "/RPC2"]);
const GZIP = new Set(["gzip", "x-gzip"]);
const FAULT_FORMAT = 1;
const FAULT_DEFECT = 500;

/**
 * Answers one HTTP request.
 *
 * @throws BodyCutShortError if the client left within its request
 */
export async function handleRequest(
  request: IncomingMessage,
  response: ServerResponse,
  rules: RequestRules,
): Promise<void> {
  const remoteAddress = request.socket.remoteAddress ?? "";
  const refusal = checkHead(request);
  if (refusal !== undefined) {
    rules.onRefused?.(refusal.body, remoteAddress);
    sendRefusal(request, response, refusal);
    return;
  }
  try {
    const call = await receiveCall(request, rules);
    const context = { remoteAddress, signal: signalOf(response) };
    await sendAnswer(request, response, await runCall(call.method, call.params, context, rules));
  } catch (error) {
    if (error instanceof XmlRpcFormatError) {
      rules.onRefused?.(error.message, remoteAddress);
      await sendAnswer(request, response, formatFault(error));
    } else if (error instanceof BodyTooLargeError) {
      rules.onRefused?.(error.message, remoteAddress);
      response.setHeader("Connection", "close");
      sendRefusal(request, response, { status: 413, contentType: "text/xml", body: formatFault(error) });
    } else if (error instanceof BudgetSpentError) {
      rules.onRefused?.(error.message, remoteAddress);
      response.setHeader("Connection", "close");
      sendRefusal(request, response, { ...refuse(503, error.message), headers: { "Retry-After": "1" } });
    } else {
      throw error;
    }
  }
}

function checkHead(request: IncomingMessage): Refusal | undefined {
  const [path = ""] = (request.url ?? "").split("?");
  if (!PATHS.has(path)) return refuse(404, "Calls go to / or /RPC2.");
  if (request.method !== "POST")
    return { ...refuse(405, "Calls are sent by POST."), headers: { Allow: "POST" } };
  const encoding = encodingOf(request);
  if (encoding !== "identity" && !GZIP.has(encoding)) {
    return refuse(415, "A body may be sent as it is or packed with gzip.");
  }
  return undefined;
}

function refuse(status: number, sentence: string): Refusal {
  return { status, contentType: "text/plain", body: `${sentence}\n` };
}

function encodingOf(request: IncomingMessage): string {
  return (request.headers["content-encoding"] ?? "identity").trim().toLowerCase();
}

/** What a body and its unpacked form take of the budget is given back as soon as there is a call. */
async function receiveCall(
  request: IncomingMessage,
  { maxBodyBytes, maxDepth, bodies }: RequestRules,
): Promise<XmlRpcCall> {
  const body = await readBody(request, maxBodyBytes, bodies);
  let held = body.length;
  try {
    if (!GZIP.has(encodingOf(request))) return await decodeCallInSlices(body, maxDepth);
    const unpacked = await unpackBody(body, maxBodyBytes);
    bodies.take(unpacked.length);
    held += unpacked.length;
    return await decodeCallInSlices(unpacked, maxDepth);
  } finally {
    bodies.give(held);
  }
}

/** Runs a call and shapes what comes of it, whatever that is, into a document. */
async function runCall(
  method: string,
  params: readonly XmlRpcValue[],
  context: XmlRpcCallContext,
  rules: RequestRules,
): Promise<string> {
  try {
    return encodeResponse(await rules.dispatch(method, params, context));
  } catch (error) {
    if (error instanceof XmlRpcFault) return encodeFault(error);
    rules.onDefect(error, method);
    return encodeFault({ code: FAULT_DEFECT, faultString: "Internal Server Error" });
  }
}

function formatFault(error: Error): string {
  return encodeFault({ code: FAULT_FORMAT, faultString: error.message });
}

function signalOf(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  response.once("close", () => {
    if (!response.writableEnded) controller.abort();
  });
  return controller.signal;
}
