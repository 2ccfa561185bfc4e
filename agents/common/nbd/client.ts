import { createConnection, type Socket } from "node:net";
import { type Clock, systemClock } from "../../../shared/clock.js";
import type { Bytes, Milliseconds } from "../../../shared/units.js";
import { ByteQueue } from "./byte-queue.js";
import { ClientConnection } from "./client-connection.js";
import { ClientHandshake } from "./client-handshake.js";

/** Answers a request: 0, an errno of the protocol, or NBD_CONNECTION_LOST. */
export type NbdDone = (errno: number) => void;
/** @param data of a successful read, `length` bytes in all, never written to again; empty if `errno` is not 0 */
export type NbdReadDone = (errno: number, data: readonly Buffer[]) => void;

/**
 * One connection to an export. Each request's `done` is called exactly once and never from inside the call that made it.
 * When the connection ends, every request without an answer is given NBD_CONNECTION_LOST, after `onClose` was called: the
 * owner may send it again elsewhere, but can't know whether it was carried out. A request made after that gets the same.
 *
 * Nothing is checked here: offsets, `maxRequest` and what the export can do are the owner's affair. Memory is what the
 * requests under way hold, so their number and bytes are the owner's to bound.
 */
export interface NbdClient {
  readonly size: Bytes;
  /** What the server tells about the export; empty if nothing. */
  readonly description: string;
  /** Longest read or write, in bytes. */
  readonly maxRequest: Bytes;
  readonly readOnly: boolean;
  readonly canFlush: boolean;
  readonly canFua: boolean;
  readonly canTrim: boolean;
  readonly canZero: boolean;
  /** Requests without an answer. */
  readonly inFlight: number;
  /** Bytes that the peer's side has not taken yet. */
  readonly unsent: Bytes;
  /** How long the oldest request has been without an answer; undefined if there is none. */
  oldestAge(): Milliseconds | undefined;
  /** When something last came from the server, on the monotonic clock. */
  readonly lastHeard: Milliseconds;
  /** @param fua what is on the disk itself is wanted, not what a cache has of it; a server may ignore that */
  read(offset: Bytes, length: Bytes, done: NbdReadDone, fua?: boolean): void;
  /** @param payload `length` bytes in all, that nobody writes to until `done` – of every request that shares them */
  write(offset: Bytes, length: Bytes, payload: readonly Buffer[], fua: boolean, done: NbdDone): void;
  flush(done: NbdDone): void;
  trim(offset: Bytes, length: Bytes, fua: boolean, done: NbdDone): void;
  writeZeroes(offset: Bytes, length: Bytes, fua: boolean, done: NbdDone): void;
  /** Ends the connection at once. What was sent may still be carried out. `onClose` and the requests follow. */
  destroy(): void;
}

export type NbdAddress = { readonly host: string; readonly port: number } | { readonly path: string };

export interface NbdConnectOptions {
  /** For the whole of connecting and choosing the export. */
  readonly timeoutMs: Milliseconds;
  /** Called once, when a connection that was made has ended. */
  onClose(reason: Error): void;
  readonly clock?: Clock;
}

/**
 * Why there is no connection. `policy`, `unknown`, `shutdown`: the server refused the export. `unreachable`: nobody
 * answers, or the connection ended. `timeout`. `protocol`: what answers is no NBD server that we can use.
 */
export type NbdConnectFailure = "policy" | "unknown" | "shutdown" | "unreachable" | "timeout" | "protocol";

export class NbdConnectError extends Error {
  override readonly name = "NbdConnectError";

  constructor(
    readonly reason: NbdConnectFailure,
    message: string,
    options?: ErrorOptions,
  ) {
    super(message, options);
  }
}

/** Replies are received into slabs of this size, of which 16-byte replies use up only their own bytes. */
const SLAB_BYTES: Bytes = 524_288;
/** A slab with less room than this is left to those who hold parts of it. */
const LEAST_ROOM_BYTES: Bytes = 65_536;

/** @throws NbdConnectError */
export function connectNbd(
  where: NbdAddress,
  exportName: string,
  options: NbdConnectOptions,
): Promise<NbdClient> {
  const shown = "path" in where ? where.path : `${where.host}:${where.port}`;
  return new Promise((resolve, reject) => {
    const queue = new ByteQueue();
    let connection: ClientConnection | undefined;
    const socket = connectSocket(where, (piece) => {
      queue.push(piece);
      if (connection !== undefined) connection.process();
      else handshake.process();
    });
    const fail = (reason: NbdConnectFailure, message: string, cause?: unknown): void => {
      clearTimeout(deadline);
      socket.destroy();
      reject(new NbdConnectError(reason, `${shown}: ${message}`, { cause }));
    };
    const deadline = setTimeout(
      () => fail("timeout", `no NBD connection within ${options.timeoutMs} ms`),
      options.timeoutMs,
    );
    const handshake = new ClientHandshake(queue, socket, exportName, {
      failed: fail,
      opened: (opened) => {
        clearTimeout(deadline);
        socket.off("error", onError);
        socket.off("close", onEnd);
        connection = new ClientConnection({ socket, queue }, opened, {
          onClose: options.onClose,
          clock: options.clock ?? systemClock,
        });
        resolve(connection);
      },
    });
    const onError = (cause: Error): void => fail("unreachable", cause.message, cause);
    const onEnd = (): void => fail("unreachable", "the connection ended during the handshake");
    socket.on("error", onError);
    socket.once("close", onEnd);
  });
}

/**
 * Receives through `onread` into slabs of our own: `data` events allocate 64 KiB for each 16-byte reply. Slabs are never
 * used twice, so what was received stays valid for its holders.
 */
function connectSocket(where: NbdAddress, received: (piece: Buffer) => void): Socket {
  let slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  let used = 0;
  return createConnection({
    ...where,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: 15_000,
    onread: {
      buffer: () => {
        if (slab.length - used < LEAST_ROOM_BYTES) {
          slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
          used = 0;
        }
        return slab.subarray(used);
      },
      callback: (count) => {
        const piece = slab.subarray(used, used + count);
        used += count;
        received(piece);
        return true;
      },
    },
  });
}
