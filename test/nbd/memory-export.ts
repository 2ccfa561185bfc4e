import type { NbdReply, NbdRequest, NbdServerOptions, NbdSession } from "../../agents/common/nbd/server.js";

/** An export whose bytes are a buffer, and what a test wants to know and to decide about its requests. */
export class MemoryExport {
  readonly bytes: Buffer;
  readonly requests: NbdRequest[] = [];
  opened = 0;
  closed = 0;
  /** Decides when a request is answered; at once by default. */
  schedule: (answer: () => void) => void = (answer) => answer();

  constructor(size: number) {
    this.bytes = Buffer.alloc(size);
  }

  options(): NbdServerOptions {
    return {
      open: async (name) => {
        if (name === "policy") return { refuse: "policy", message: "not you" };
        if (name === "shutdown") return { refuse: "shutdown", message: "we end" };
        if (name !== "memory" && name !== "") return { refuse: "unknown", message: "there is only memory" };
        this.opened += 1;
        const session: NbdSession = {
          request: (request, reply) => {
            this.requests.push(request);
            this.#run(request, reply);
          },
          closed: () => {
            this.closed += 1;
          },
        };
        return {
          info: {
            size: this.bytes.length,
            description: "bytes",
            readOnly: false,
            canFlush: true,
            canFua: true,
            canTrim: true,
            canZero: true,
            multiConn: true,
          },
          session,
        };
      },
      list: () => ["memory", "second"],
      maxConnections: 8,
    };
  }

  #run(request: NbdRequest, reply: NbdReply): void {
    const { command, offset, length } = request;
    let data: Buffer[] = [];
    if (command === "read") {
      const copy = Buffer.from(this.bytes.subarray(offset, offset + length));
      data = [copy.subarray(0, length >> 1), copy.subarray(length >> 1)];
    } else if (command === "write") {
      let at = offset;
      for (const piece of request.payload) at += piece.copy(this.bytes, at);
    } else {
      this.bytes.fill(0, offset, offset + length);
    }
    this.schedule(() => reply(0, data));
  }
}
