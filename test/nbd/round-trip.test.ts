import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { connectNbd, type NbdClient, NbdConnectError } from "../../agents/common/nbd/client.js";
import { NBD_CONNECTION_LOST } from "../../agents/common/nbd/protocol.js";
import { createNbdServer, type NbdServer } from "../../agents/common/nbd/server.js";
import { randomData, seed } from "../harness/random-data.js";
import { flush, readBytes, readErrno, trim, writeBytes, writeZeroes } from "./client-calls.js";
import { MemoryExport } from "./memory-export.js";

const SIZE = 1024 * 1024;
const servers: NbdServer[] = [];

afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0);
});

async function serve(memory: MemoryExport): Promise<number> {
  const server = createNbdServer(memory.options());
  servers.push(server);
  return server.listenTcp("127.0.0.1", 0);
}

const nobody = (): void => undefined;
const connect = (
  port: number,
  name = "memory",
  onClose: (reason: Error) => void = nobody,
): Promise<NbdClient> => connectNbd({ host: "127.0.0.1", port }, name, { timeoutMs: 60_000, onClose });

/** Random whole numbers below a limit, the same for the same seed. */
function dice(name: string): (limit: number) => number {
  const bytes = randomData(name, 400_000);
  let at = 0;
  return (limit) => {
    at = (at + 4) % bytes.length;
    return bytes.readUInt32BE(at) % limit;
  };
}

describe("client and server", () => {
  it("tells size, description and abilities", async () => {
    const client = await connect(await serve(new MemoryExport(SIZE)));
    expect(client).toMatchObject({
      size: SIZE,
      description: "bytes",
      maxRequest: 32 * 1024 * 1024,
      canFlush: true,
      canFua: true,
      canTrim: true,
      canZero: true,
      readOnly: false,
    });
    client.destroy();
  });

  for (const order of ["at once", "later, in another order"]) {
    it(`keeps every byte of random requests, many at once, answered ${order} (seed ${seed})`, async () => {
      const memory = new MemoryExport(SIZE);
      const waiting: (() => void)[] = [];
      const roll = dice(`order ${order}`);
      if (order !== "at once") {
        memory.schedule = (answer) => {
          waiting.splice(roll(waiting.length + 1), 0, answer);
          setImmediate(() => waiting.pop()?.());
        };
      }
      const client = await connect(await serve(memory));
      const model = Buffer.alloc(SIZE);
      for (let round = 0; round < 60; round += 1) {
        const pending: Promise<unknown>[] = [];
        // Requests of one round do not overlap: each stays in a stripe of its own.
        for (let stripe = 0; stripe < 16; stripe += 1) {
          const start = stripe * 65_536 + roll(60_000);
          const length = 1 + roll((stripe + 1) * 65_536 - start);
          const kind = roll(5);
          if (kind < 2) {
            const data = randomData(`${round} ${stripe}`, length);
            data.copy(model, start);
            pending.push(writeBytes(client, start, data, kind === 1).then((errno) => expect(errno).toBe(0)));
          } else if (kind === 2) {
            model.fill(0, start, start + length);
            pending.push(
              (roll(2) === 0 ? trim : writeZeroes)(client, start, length).then((errno) =>
                expect(errno).toBe(0),
              ),
            );
          } else {
            const expected = Buffer.from(model.subarray(start, start + length));
            pending.push(
              readBytes(client, start, length).then((got) => expect(got.equals(expected)).toBe(true)),
            );
          }
        }
        pending.push(flush(client).then((errno) => expect(errno).toBe(0)));
        await Promise.all(pending);
      }
      expect(memory.bytes.equals(model)).toBe(true);
      expect(client.inFlight).toBe(0);
      expect(client.oldestAge()).toBeUndefined();
      client.destroy();
    });
  }

  it("carries the longest request, and payloads in many pieces", async () => {
    const size = 32 * 1024 * 1024;
    const memory = new MemoryExport(size);
    const client = await connect(await serve(memory));
    const data = randomData("long", size);
    const pieces: Buffer[] = [];
    for (let at = 0; at < size; at += 10_007) pieces.push(data.subarray(at, at + 10_007));
    const errno = await new Promise((resolve) => client.write(0, size, pieces, false, resolve));
    expect(errno).toBe(0);
    expect(memory.bytes.equals(data)).toBe(true);
    const [first, second] = await Promise.all([readBytes(client, 0, size), readBytes(client, 0, size)]);
    expect(first.equals(data) && second.equals(data)).toBe(true);
    client.destroy();
  });

  it("answers what is wrong with a request without asking the export", async () => {
    const memory = new MemoryExport(SIZE);
    const client = await connect(await serve(memory));
    expect(await readErrno(client, SIZE - 1, 2)).toBe(22);
    expect(await writeBytes(client, SIZE, Buffer.alloc(1))).toBe(28);
    expect(await writeZeroes(client, SIZE - 1, 2)).toBe(28);
    expect(await trim(client, 2 ** 52, 1)).toBe(22);
    expect(await readErrno(client, 0, 0)).toBe(22);
    expect(memory.requests).toEqual([]);
    expect(await readErrno(client, SIZE - 1, 1)).toBe(0);
    client.destroy();
  });

  it.each(["policy", "unknown", "shutdown"] as const)("tells a refusal by %s apart", async (reason) => {
    const port = await serve(new MemoryExport(SIZE));
    await expect(connect(port, reason)).rejects.toMatchObject({ name: "NbdConnectError", reason });
  });

  it("tells apart that nobody listens, that nobody answers, and that something else answers", async () => {
    const silent = createServer(() => undefined);
    const other = createServer((socket) => socket.end("HTTP/1.1 400 Bad Request\r\n\r\n"));
    const port = (server: typeof silent): Promise<number> =>
      new Promise((resolve) =>
        server.listen(0, "127.0.0.1", () => resolve((server.address() as { port: number }).port)),
      );
    const silentPort = await port(silent);
    const otherPort = await port(other);
    const attempt = (to: number, timeoutMs: number): Promise<unknown> =>
      connectNbd({ host: "127.0.0.1", port: to }, "", { timeoutMs, onClose: nobody }).catch(
        (error: unknown) => error,
      );
    expect(await attempt(silentPort, 50)).toMatchObject({ reason: "timeout" });
    expect(await attempt(otherPort, 60_000)).toMatchObject({ reason: "protocol" });
    silent.close();
    other.close();
    const gone = await attempt(silentPort, 60_000);
    expect(gone).toBeInstanceOf(NbdConnectError);
    expect(gone).toMatchObject({ reason: "unreachable" });
  });

  it("tells every request without an answer that its connection is lost, after its owner was told", async () => {
    const memory = new MemoryExport(SIZE);
    memory.schedule = () => undefined;
    const port = await serve(memory);
    const events: string[] = [];
    const closed = new Promise<NbdClient>((resolve, reject) => {
      connect(port, "memory", () => {
        events.push("closed");
        resolve(client);
      }).then((opened) => {
        client = opened;
        for (let count = 0; count < 3; count += 1) {
          opened.read(0, 10, (errno, data) => events.push(`read ${errno} ${data.length}`));
        }
        opened.flush((errno) => {
          events.push(`flush ${errno}`);
          // Its owner may ask again at once: it is told the same, and nothing goes round in circles.
          opened.flush((again) => events.push(`again ${again}`));
        });
        expect(opened.inFlight).toBe(4);
        opened.destroy();
        expect(events).toEqual([]);
      }, reject);
    });
    let client: NbdClient;
    const dead = await closed;
    expect(await flush(dead)).toBe(NBD_CONNECTION_LOST);
    const lost = `read ${NBD_CONNECTION_LOST} 0`;
    expect(events).toEqual([
      "closed",
      lost,
      lost,
      lost,
      `flush ${NBD_CONNECTION_LOST}`,
      `again ${NBD_CONNECTION_LOST}`,
    ]);
    expect(dead.inFlight).toBe(0);
  });

  it("serves on a Unix socket, replaces one that nobody listens on, and leaves one that is in use", async () => {
    const folder = mkdtempSync(join(tmpdir(), "vas-nbd-"));
    try {
      const path = join(folder, "s");
      const first = createNbdServer(new MemoryExport(SIZE).options());
      await first.listenUnix(path);
      const second = createNbdServer(new MemoryExport(SIZE).options());
      servers.push(first, second);
      await expect(second.listenUnix(path)).rejects.toMatchObject({ code: "EADDRINUSE" });
      const client = await connectNbd({ path }, "memory", { timeoutMs: 60_000, onClose: nobody });
      expect(await writeBytes(client, 5, Buffer.from("five"))).toBe(0);
      expect((await readBytes(client, 5, 4)).toString()).toBe("five");
      client.destroy();
      writeFileSync(join(folder, "file"), "");
      await expect(second.listenUnix(join(folder, "file"))).rejects.toMatchObject({ code: "EADDRINUSE" });
      // A process that listened there and was killed leaves its socket behind.
      const dead = join(folder, "dead");
      const listen = `require("net").createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, 9))`;
      spawnSync(process.execPath, ["-e", listen]);
      await second.listenUnix(dead);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it("answers what is under way before it closes, and cuts what is left at its deadline", async () => {
    const memory = new MemoryExport(SIZE);
    const waiting: (() => void)[] = [];
    memory.schedule = (answer) => waiting.push(answer);
    const server = createNbdServer(memory.options());
    const client = await connect(await server.listenTcp("127.0.0.1", 0));
    const answer = writeBytes(client, 0, Buffer.from("x"));
    const received = new Promise<void>((resolve) => {
      memory.schedule = (give) => {
        waiting.push(give);
        resolve();
      };
    });
    await received;
    expect(server.connectionCount).toBe(1);
    const closed = server.close(20_000);
    for (const give of waiting) give();
    expect(await answer).toBe(0);
    await closed;
    expect(memory.closed).toBe(1);
  });
});
