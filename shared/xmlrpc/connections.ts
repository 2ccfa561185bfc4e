import type { Server, ServerResponse } from "node:http";
import type { Socket } from "node:net";

/** More requests than this at once on one connection end it; no client of XML-RPC sends ahead of its answers. */
const MAX_PIPELINED = 16;

/**
 * The open connections of a server and the requests that run on each, so that closing can end the idle ones at once
 * and the others with their answers. Invariant: a socket is in the map from its connection to its close.
 */
export class Connections {
  readonly #running = new Map<Socket, Set<ServerResponse>>();
  readonly #stallMs: number;
  #closing = false;

  /** @param stallMs how long a client may leave an answer unread before its connection is cut, in milliseconds */
  constructor(stallMs: number) {
    this.#stallMs = stallMs;
  }

  /** Follows the connections of a server. */
  watch(server: Server): void {
    server.on("connection", (socket: Socket) => {
      this.#running.set(socket, new Set());
      socket.once("close", () => this.#running.delete(socket));
    });
  }

  /**
   * Counts a request until its response is through or its connection gone.
   *
   * @returns false if the connection has been cut because too many requests are under way on it
   */
  begin(socket: Socket, response: ServerResponse): boolean {
    const running = this.#running.get(socket);
    if (running === undefined || running.size >= MAX_PIPELINED) {
      socket.destroy();
      return false;
    }
    running.add(response);
    // A call may take its time in silence; what may not stall is the reading of its answer.
    response.once("prefinish", () => socket.setTimeout(this.#stallMs));
    response.once("close", () => this.#finish(socket, running, response));
    if (this.#closing) announceClose(response);
    return true;
  }

  /** Ends the idle connections now, and each other one when its last request is answered. */
  drain(): void {
    this.#closing = true;
    for (const [socket, running] of this.#running) {
      if (running.size === 0) socket.destroy();
      for (const response of running) announceClose(response);
    }
  }

  #finish(socket: Socket, running: Set<ServerResponse>, response: ServerResponse): void {
    running.delete(response);
    // Node lifts the limit itself, except when another request is under way already.
    const waits = [...running].every((other) => !other.writableEnded);
    if (running.size > 0 && waits) socket.setTimeout(0);
    if (this.#closing && running.size === 0) socket.destroySoon();
  }
}

function announceClose(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader("Connection", "close");
}
