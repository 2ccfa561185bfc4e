import { connect, type Socket } from "node:net";
import type { Milliseconds } from "../../shared/units.js";

/** A message of the QEMU protocols: an answer, or an event. */
export type JsonMessage = Readonly<Record<string, unknown>>;

/** One of QEMU's doors on a Unix socket: a JSON object a line, commands answered in their order. */
export class JsonSocket {
  readonly #socket: Socket;
  readonly #waiting: ((message: JsonMessage | Error) => void)[] = [];
  #text = "";
  #ended: Error | undefined;

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.setEncoding("utf8");
    socket.on("data", (text: string) => this.#receive(text));
    socket.on("error", (error) => this.#end(error));
    socket.on("close", () => this.#end(new Error("the machine has closed the connection")));
  }

  static open(path: string): Promise<JsonSocket> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.removeListener("error", reject);
        resolve(new JsonSocket(socket));
      });
    });
  }

  /**
   * @returns what it answers in `return`
   * @throws Error with what it answers else, or if there is no answer in time
   */
  async execute(command: string, args: object, timeout: Milliseconds): Promise<unknown> {
    const answer = await this.#ask({ execute: command, arguments: args }, timeout);
    if ("return" in answer) return answer.return;
    throw new Error(`${command}: ${JSON.stringify(answer)}`);
  }

  /** Not after an answer was late: the next one would be taken for it. */
  get isOpen(): boolean {
    return this.#ended === undefined;
  }

  close(): void {
    this.#socket.destroy();
  }

  #ask(message: object, timeout: Milliseconds): Promise<JsonMessage> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      const late = setTimeout(() => this.#socket.destroy(new Error(`no answer in ${timeout} ms`)), timeout);
      this.#waiting.push((answer) => {
        clearTimeout(late);
        if (answer instanceof Error) reject(answer);
        else resolve(answer);
      });
      this.#socket.write(`${JSON.stringify(message)}\n`);
    });
  }

  #receive(text: string): void {
    this.#text += text;
    for (let end = this.#text.indexOf("\n"); end >= 0; end = this.#text.indexOf("\n")) {
      const line = this.#text.slice(0, end);
      this.#text = this.#text.slice(end + 1);
      if (line.trim() === "") continue;
      const message: JsonMessage = JSON.parse(line);
      if ("return" in message || "error" in message) this.#waiting.shift()?.(message);
    }
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const answer of this.#waiting.splice(0)) answer(this.#ended);
  }
}
