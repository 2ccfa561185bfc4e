import { connect, type Socket } from "node:net";

const DEADLINE_MS = 60_000;

/** A TCP connection that says exactly what a test wants, and remembers what came back. */
export class RawConnection {
  readonly #socket: Socket;
  #received = "";
  #closed = false;
  #changed: () => void = () => undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("latin1");
    socket.on("data", (text: string) => {
      this.#received += text;
      this.#changed();
    });
    // A reset is one of the ways in which a server may end a connection.
    socket.on("error", () => undefined);
    socket.on("close", () => {
      this.#closed = true;
      this.#changed();
    });
  }

  static open(port: number, host = "127.0.0.1"): Promise<RawConnection> {
    return new Promise((resolve, reject) => {
      const socket = connect({ host, port, allowHalfOpen: true, noDelay: true });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new RawConnection(socket));
      });
      socket.on("end", () => socket.end());
    });
  }

  /** All that has come, a character for each byte. */
  get received(): string {
    return this.#received;
  }

  get closed(): boolean {
    return this.#closed;
  }

  send(bytes: Uint8Array | string): void {
    if (!this.#socket.destroyed) this.#socket.write(bytes);
  }

  /** Sends, and waits until the kernel has taken it all or the connection is gone. */
  sendAll(bytes: Uint8Array | string): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once("close", () => resolve());
      this.#socket.write(bytes, () => resolve());
    });
  }

  /** Ends our side, and listens on. */
  end(): void {
    this.#socket.end();
  }

  /** Leaves all that comes from now on to the kernel, and so to the other side. */
  stopReading(): void {
    this.#socket.pause();
  }

  readOn(): void {
    this.#socket.resume();
  }

  /** Gives the connection up, as a process does that ends: what was sent still arrives. */
  leave(): void {
    this.#socket.destroy();
  }

  /** Resets the connection. */
  reset(): void {
    this.#socket.resetAndDestroy();
  }

  /** Waits for a condition on what has come; fails when it cannot come true any more, or not in time. */
  until(what: string, condition: (connection: RawConnection) => boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new Error(`${what}: ${why}, got ${this.#received.slice(0, 600)}`));
      const timer = setTimeout(() => fail("not in time"), DEADLINE_MS);
      this.#changed = () => {
        if (!condition(this) && !this.#closed) return;
        clearTimeout(timer);
        if (condition(this)) resolve();
        else fail("the connection was closed");
      };
      this.#changed();
    });
  }
}
