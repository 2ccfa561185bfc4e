import type { Socket } from "node:net";
import type { Milliseconds } from "../../../shared/units.js";
import { ByteQueue } from "./byte-queue.js";
import { Outbox } from "./outbox.js";
import type { NbdExportInfo, NbdPeer, NbdServerOptions, NbdSession } from "./server.js";
import { ServerHandshake } from "./server-handshake.js";
import { ServerTransmission } from "./server-transmission.js";

/** The life of one accepted socket: handshake, then requests, then its end. Nothing that a client sends throws. */
export class ServerConnection {
  readonly #socket: Socket;
  readonly #queue = new ByteQueue();
  readonly #outbox: Outbox;
  readonly #handshake: ServerHandshake;
  readonly #deadline: NodeJS.Timeout;
  #transmission: ServerTransmission | undefined;
  #finishing = false;

  constructor(socket: Socket, options: NbdServerOptions, handshakeMs: Milliseconds) {
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
    socket.on("data", (chunk) => {
      this.#queue.push(chunk);
      if (this.#transmission !== undefined) this.#transmission.process();
      else this.#handshake.process();
    });
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

  #serve(info: NbdExportInfo, session: NbdSession): void {
    clearTimeout(this.#deadline);
    this.#transmission = new ServerTransmission(
      { socket: this.#socket, queue: this.#queue, outbox: this.#outbox },
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
