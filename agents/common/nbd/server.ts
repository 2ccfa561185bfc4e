import { lstatSync, unlinkSync } from "node:fs";
import { createServer, type ListenOptions, type Server, Socket } from "node:net";
import type { Bytes, Milliseconds } from "../../../shared/units.js";
import { ServerConnection } from "./server-connection.js";

/** A request, checked: it lies within the export and the export can do it. */
export interface NbdRequest {
  readonly command: "read" | "write" | "flush" | "trim" | "writeZeroes";
  /** In bytes, like `length`; both 0 for a flush. */
  readonly offset: Bytes;
  readonly length: Bytes;
  /** Durable before the reply. Never set on a read or a flush. */
  readonly fua: boolean;
  /** The client wants the zeroes allocated. */
  readonly noHole: boolean;
  /** What to write, `length` bytes in all. Valid until the reply; its memory is then used again. */
  readonly payload: readonly Buffer[];
}

/**
 * Answers a request.
 *
 * @param errno 0, or an errno of the protocol (`NbdErrno`)
 * @param data of a successful read: `length` bytes in all, that nobody writes to any more
 */
export type NbdReply = (errno: number, data?: readonly Buffer[]) => void;
/** An NbdReply that returns whether `data` is not referred to any more: then its memory may be used again at once. */
export type NbdReuseReply = (errno: number, data?: readonly Buffer[]) => boolean;

/** What serves one connection. */
export interface NbdSession {
  /**
   * Called for each request in the order received, without waiting for earlier ones. Exactly one reply each, in any
   * order, at once or later; once the client is gone replies are dropped, while the requests still have to run.
   */
  request(request: NbdRequest, reply: NbdReuseReply): void;
  /** The connection has ended; called once, no request comes after it. */
  closed(): void;
}

export interface NbdExportInfo {
  readonly size: Bytes;
  readonly description?: string;
  readonly readOnly: boolean;
  readonly canFlush: boolean;
  readonly canFua: boolean;
  readonly canTrim: boolean;
  readonly canZero: boolean;
  /** A flush on one connection covers what was answered on the others. */
  readonly multiConn: boolean;
}

/** The connection that asks for an export. */
export interface NbdPeer {
  /** Ends it at once. Replies not sent yet are lost; requests that the session was given are not undone. */
  close(): void;
  /** `ADDRESS:PORT`, or `unix`. */
  readonly remote: string;
  /** It only asks what the export is like: the session is closed without a request. */
  readonly infoOnly: boolean;
}

export type NbdOpened =
  | { readonly info: NbdExportInfo; readonly session: NbdSession }
  | { readonly refuse: "unknown" | "policy" | "shutdown"; readonly message: string };

export interface NbdServerOptions {
  /** Decides about a name; the client waits. A rejection ends the connection. */
  open(name: string, peer: NbdPeer): Promise<NbdOpened>;
  /** The names to tell a client that asks for them. */
  list(): readonly string[];
  /** Further connections are closed at once. */
  readonly maxConnections: number;
  /** How long a client may take to choose an export; 10 s if left out. */
  readonly handshakeMs?: Milliseconds;
}

export interface NbdServer {
  /**
   * May be called for several addresses.
   *
   * @param port 0 = a free one
   * @returns the port
   * @throws Error EADDRINUSE, EADDRNOTAVAIL …
   */
  listenTcp(host: string, port: number): Promise<number>;
  /**
   * A socket file on which nobody listens any more is replaced.
   *
   * @throws Error EADDRINUSE if someone listens there, or it is no socket
   */
  listenUnix(path: string): Promise<void>;
  /** Clients that have opened an export. */
  readonly connectionCount: number;
  /**
   * Stops listening and reads no more requests; those under way are answered, then the connections end. What still
   * stands after `deadlineMs` is cut.
   */
  close(deadlineMs: Milliseconds): Promise<void>;
}

const HANDSHAKE_MS: Milliseconds = 10_000;

export function createNbdServer(options: NbdServerOptions): NbdServer {
  return new ListeningServer(options);
}

class ListeningServer implements NbdServer {
  readonly #options: NbdServerOptions;
  readonly #listeners: Server[] = [];
  readonly #connections = new Set<ServerConnection>();
  #closing = false;
  #emptied: () => void = () => undefined;

  constructor(options: NbdServerOptions) {
    this.#options = options;
  }

  get connectionCount(): number {
    let count = 0;
    for (const connection of this.#connections) if (connection.serving) count += 1;
    return count;
  }

  async listenTcp(host: string, port: number): Promise<number> {
    const listener = await this.#listen({ host, port });
    const address = listener.address();
    return typeof address === "object" && address !== null ? address.port : port;
  }

  async listenUnix(path: string): Promise<void> {
    try {
      await this.#listen({ path });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE" || !(await isStale(path))) throw error;
      unlinkSync(path);
      await this.#listen({ path });
    }
  }

  async close(deadlineMs: Milliseconds): Promise<void> {
    this.#closing = true;
    for (const listener of this.#listeners) listener.close();
    const emptied = new Promise<void>((resolve) => {
      this.#emptied = resolve;
    });
    for (const connection of this.#connections) connection.finish();
    if (this.#connections.size === 0) return;
    const deadline = setTimeout(() => {
      for (const connection of this.#connections) connection.destroy();
    }, deadlineMs);
    await emptied;
    clearTimeout(deadline);
  }

  #listen(where: ListenOptions): Promise<Server> {
    const listener = createServer(
      { noDelay: true, keepAlive: true, keepAliveInitialDelay: 15_000, pauseOnConnect: true },
      (socket) => this.#accept(socket),
    );
    return new Promise((resolve, reject) => {
      listener.once("error", reject);
      listener.listen(where, () => {
        listener.off("error", reject);
        // Accepting can fail for want of file descriptors; the listener goes on by itself.
        listener.on("error", () => undefined);
        this.#listeners.push(listener);
        resolve(listener);
      });
    });
  }

  #accept(socket: Socket): void {
    if (this.#closing || this.#connections.size >= this.#options.maxConnections) {
      socket.destroy();
      return;
    }
    const connection = new ServerConnection(socket, this.#options, this.#options.handshakeMs ?? HANDSHAKE_MS);
    this.#connections.add(connection);
    connection.whenClosed(() => {
      this.#connections.delete(connection);
      if (this.#connections.size === 0) this.#emptied();
    });
  }
}

/** Whether it is a socket on which nobody listens; anything else that stands there is not ours to remove. */
function isStale(path: string): Promise<boolean> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isSocket() !== true) return Promise.resolve(false);
  return new Promise((resolve) => {
    const probe = new Socket();
    probe.once("connect", () => {
      probe.destroy();
      resolve(false);
    });
    probe.once("error", (error: NodeJS.ErrnoException) => resolve(error.code === "ECONNREFUSED"));
    probe.connect({ path });
  });
}
