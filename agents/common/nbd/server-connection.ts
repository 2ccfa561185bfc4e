import type { Socket } from "node:net";
import type { Milliseconds } from "../../../shared/units.js";
import { ByteQueue } from "./byte-queue.js";
import { Outbox } from "./outbox.js";
import { receiveInto } from "./receive-into.js";
import { ReceiveSlabs } from "./receive-slabs.js";
import type { NbdExportInfo, NbdPeer, NbdServerOptions, NbdSession } from "./server.js";
import { ServerHandshake } from "./server-handshake.js";
import { ServerTransmission } from "./server-transmission.js";

/** The life of one accepted socket: handshake, then requests, then its end. Nothing that a client sends throws. */
export class ServerConnection {
  readonly #socket: Socket;
  readonly #queue = new ByteQueue();
  readonly #slabs = new ReceiveSlabs(this.#queue);
  readonly #outbox: Outbox;
  readonly #handshake: ServerHandshake;
  readonly #deadline: NodeJS.Timeout;
  #transmission: ServerTransmission | undefined;
  #finishing = false;

  constructor(accepted: Socket, options: NbdServerOptions, handshakeMs: Milliseconds) {
    const socket = receiveInto(accepted, this.#slabs, (piece) => this.#received(piece));
    this.#socket = socket;
    this.#outbox = new Outbox(socket);
    const remote =
      socket.remoteAddress === undefined ? "unix" : `${socket.remoteAddress}:${socket.remotePort}`;
    const peer = (infoOnly: boolean): NbdPeer => ({ close: () => this.destroy(), remote, infoOnly });
    this.#handshake = new ServerHandshake(this.#queue, socket, {
      open: (name, infoOnly) => options.open(name, peer(infoOnly)),
      list: () => options.list(),
      serve: (info, session) => this.#serve(info, session),
    });
    this.#deadline = setTimeout(() => this.destroy(), handshakeMs);
    socket.on("error", () => this.destroy());
    socket.once("close", () => this.#ended());
    socket.on("drain", () => this.#transmission?.process());
    socket.resume();
  }

  /** Calls back when it has ended. */
  whenClosed(callback: () => void): void {
    this.#socket.once("close", callback);
  }

  /** Whether an export is open. */
  get serving(): boolean {
    return this.#transmission !== undefined && !this.#socket.destroyed;
  }

  /** Answers what is under way, then ends. */
  finish(): void {
    this.#finishing = true;
    if (this.#transmission === undefined) this.destroy();
    else this.#transmission.finish();
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #received(piece: Buffer): void {
    this.#queue.push(piece);
    if (this.#transmission !== undefined) this.#transmission.process();
    else this.#handshake.process();
  }

  #serve(info: NbdExportInfo, session: NbdSession): void {
    clearTimeout(this.#deadline);
    this.#transmission = new ServerTransmission(
      { socket: this.#socket, queue: this.#queue, slabs: this.#slabs, outbox: this.#outbox },
      info,
      session,
    );
    if (this.#finishing) this.#transmission.finish();
    else this.#transmission.process();
  }

  #ended(): void {
    clearTimeout(this.#deadline);
    this.#queue.clear();
    this.#transmission?.ended();
  }
}
