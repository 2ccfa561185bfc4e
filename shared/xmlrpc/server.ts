import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { ByteBudget } from "./byte-budget.js";
import { Connections } from "./connections.js";
import { handleRequest, type RequestRules, type XmlRpcDispatch } from "./handle-request.js";
import { ListenError } from "./listen-error.js";
import { BodyCutShortError } from "./read-body.js";
import { DEFAULT_MAX_DEPTH } from "./read-document.js";

/** What a server is made of. Times are in milliseconds, sizes in bytes. */
export interface XmlRpcServerOptions {
  readonly dispatch: XmlRpcDispatch;
  /** Of a request's body, packed as well as unpacked. */
  readonly maxBodyBytes: number;
  /** Of all bodies that are arriving at once; what would be more is answered with status 503. */
  readonly maxHeldBytes: number;
  /** Further connections are dropped. */
  readonly maxConnections: number;
  /** From a connection's start, or a request's first byte, to the end of its headers. */
  readonly headersTimeoutMs: number;
  /** From a request's first byte to its last; also how long a client may leave its answer unread. */
  readonly requestTimeoutMs: number;
  /** How long a connection may stay open between two calls. */
  readonly keepAliveTimeoutMs: number;
  /** How many arrays and structs may lie within one another; 64 if not given. */
  readonly maxDepth?: number;
  /** Is given what `dispatch` threw, other than faults, and defects of the server itself, with the method "". It must not throw. */
  readonly onDefect: (error: unknown, method: string) => void;
  /** Is given the reason of each request that was refused before it became a call. It must not throw. */
  readonly onRefused?: (reason: string, remoteAddress: string) => void;
}

/** Where a server listens. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** An XML-RPC server. It listens once and closes once. */
export interface XmlRpcServer {
  /**
   * Starts to accept calls.
   *
   * @param port 0 for any free one
   * @returns the address that it got
   * @throws ListenError with a sentence that says which address and what to do
   */
  listen(host: string, port: number): Promise<ListenAddress>;
  /**
   * Stops accepting, ends idle connections, lets requests that have begun end, and cuts them after `deadlineMs`. It
   * resolves when no connection is left. It does not wait for a dispatch that was cut; its signal is aborted.
   */
  close(deadlineMs: number): Promise<void>;
}

/** Half of this is the most that a timeout of a half-sent request can be late. */
const CHECK_INTERVAL_MS = 1000;

/**
 * Makes an XML-RPC server over HTTP/1.1 with keep-alive; clients of HTTP/1.0 are served too. Calls are taken by POST at
 * `/` and `/RPC2`; bad XML is answered with fault 1 and the connection stays usable; a body over `maxBodyBytes` is
 * answered with status 413 and the connection ends. Nothing that a client sends ends the process.
 */
export function createXmlRpcServer(options: XmlRpcServerOptions): XmlRpcServer {
  const rules: RequestRules = {
    ...options,
    maxDepth: options.maxDepth ?? DEFAULT_MAX_DEPTH,
    bodies: new ByteBudget(options.maxHeldBytes),
  };
  const connections = new Connections(options.requestTimeoutMs);
  const shortest = Math.min(options.headersTimeoutMs, options.requestTimeoutMs);
  const http = createServer({
    headersTimeout: shortest,
    requestTimeout: options.requestTimeoutMs,
    keepAliveTimeout: options.keepAliveTimeoutMs,
    connectionsCheckingInterval: Math.min(CHECK_INTERVAL_MS, Math.ceil(shortest / 2)),
  });
  http.maxConnections = options.maxConnections;
  // A client may end its side once its call is sent, and still wait: Node would end ours too, and its answer be lost.
  Object.assign(http, { httpAllowHalfOpen: true });
  // Closing, Node would cut connections whose answer is still on its way; `connections` knows which are idle.
  http.closeIdleConnections = () => undefined;
  connections.watch(http);
  http.on("request", (request, response) => {
    if (!connections.begin(request.socket, response)) return;
    handleRequest(request, response, rules).catch((error: unknown) => {
      if (!(error instanceof BodyCutShortError)) options.onDefect(error, "");
      request.socket.destroy();
    });
  });

  let closed: Promise<void> | undefined;

  return {
    listen: (host, port) =>
      new Promise((resolve, reject) => {
        const refuse = (cause: Error): void => reject(new ListenError(host, port, cause));
        http.once("error", refuse);
        http.listen(port, host, () => {
          http.off("error", refuse);
          // Accepting can fail later, such as when no file descriptor is free; unheard, that would end the process.
          http.on("error", (error) => options.onDefect(error, ""));
          const { address, port: bound } = http.address() as AddressInfo;
          resolve({ host: address, port: bound });
        });
      }),
    close: (deadlineMs) => {
      closed ??= new Promise((resolve) => {
        const deadline = setTimeout(() => http.closeAllConnections(), deadlineMs);
        http.close(() => {
          clearTimeout(deadline);
          resolve();
        });
        connections.drain();
      });
      return closed;
    },
  };
}
