import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createNbdServer, type NbdServer } from "../../agents/common/nbd/server.js";
import { waitUntil } from "../harness/wait-until.js";
import { MemoryExport } from "./memory-export.js";
import { clientFlags, goData, option, RawClient, request } from "./raw-client.js";

const SIZE = 1024 * 1024;
let memory: MemoryExport;
let server: NbdServer;
let port: number;

beforeEach(async () => {
  memory = new MemoryExport(SIZE);
  server = createNbdServer(memory.options());
  port = await server.listenTcp("127.0.0.1", 0);
});
afterEach(async () => {
  await server.close(0);
});

/** Another client is served as if nothing had happened. */
async function expectAlive(): Promise<void> {
  const client = await new RawClient(port).go("memory");
  client.send(request({ type: 0, length: 512 }));
  await client.untilBytes(16 + 512);
  client.socket.destroy();
}

const flags = clientFlags(3);
const filled = (length: number): Buffer => Buffer.alloc(length, 0x41);

describe("a handshake that makes no sense", () => {
  const hostile: Record<string, Buffer[]> = {
    "unknown client flags": [clientFlags(0xffffffff)],
    "HTTP instead of NBD": [Buffer.from("GET / HTTP/1.1\r\nHost: x\r\n\r\n")],
    "a wrong option magic": [flags, filled(16)],
    "an option of 4 GiB": [flags, option(7, Buffer.alloc(0), 0xffffffff)],
    "an option longer than the longest name": [flags, option(1, Buffer.alloc(0), 8192)],
    "more options than anyone needs": [flags, ...Array.from({ length: 100 }, () => option(99))],
    "an unknown export the old way, which has no other refusal": [flags, option(1, Buffer.from("nothing"))],
  };
  it.each(Object.entries(hostile))("is cut: %s", async (_what, pieces) => {
    const client = new RawClient(port);
    client.send(...pieces);
    await client.untilClosed();
    await expectAlive();
  });

  const wrong: Record<string, [number, Buffer, number]> = {
    "GO without data": [7, Buffer.alloc(0), 0x80000003],
    "GO with a name longer than the option": [7, goData("memory", [], 4000), 0x80000003],
    "GO with a name of 4 GiB": [7, goData("memory", [], 0xffffffff), 0x80000003],
    "GO with more infos than follow": [7, goData("memory", [1, 2]).subarray(0, 14), 0x80000003],
    "GO with bytes behind its end": [7, Buffer.concat([goData("memory"), filled(3)]), 0x80000003],
    "GO for an unknown name": [7, goData("\0\xff"), 0x80000006],
    "LIST with data": [3, filled(1), 0x80000003],
    "structured replies, which we do not have": [8, Buffer.alloc(0), 0x80000001],
    "STARTTLS, which we do not have": [5, Buffer.alloc(0), 0x80000001],
    "an unknown option": [0xffffffff, filled(100), 0x80000001],
  };
  it.each(Object.entries(wrong))("is told so and may go on: %s", async (_what, [type, data, answer]) => {
    const client = new RawClient(port);
    client.send(flags, option(type, data));
    await client.untilBytes(18 + 20);
    expect(client.received.readUInt32BE(18 + 12).toString(16)).toBe(answer.toString(16));
    client.received = Buffer.alloc(0);
    client.send(option(7, goData("memory")));
    await client.until("opened", () => server.connectionCount === 1 && client.received.length > 20);
    client.socket.destroy();
  });

  it("is understood when it comes a byte at a time", async () => {
    const client = new RawClient(port);
    for (const byte of Buffer.concat([flags, option(8), option(7, goData("memory", [1, 2, 3, 77]))])) {
      client.send(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await client.until("opened", () => server.connectionCount === 1);
    await client.until(
      "the name and the description",
      () => client.received.includes("memory") && client.received.includes("bytes"),
    );
    client.socket.destroy();
  });

  it("is cut at its deadline", async () => {
    const quick = createNbdServer({ ...memory.options(), handshakeMs: 20 });
    const client = new RawClient(await quick.listenTcp("127.0.0.1", 0));
    client.send(flags);
    await client.untilClosed();
    await quick.close(0);
  });

  it("is answered the old way with and without the zeroes", async () => {
    for (const [bits, length] of [
      [3, 10],
      [1, 134],
    ] as const) {
      const client = new RawClient(port);
      client.send(clientFlags(bits), option(1, Buffer.from("memory")), request({ type: 0, length: 1 }));
      await client.untilBytes(18 + length + 17);
      expect(client.received.readBigUInt64BE(18)).toBe(BigInt(SIZE));
      expect(client.received.length).toBe(18 + length + 17);
      client.socket.destroy();
    }
  });

  it("may only ask: INFO opens no export for good, LIST tells the names, ABORT is acknowledged", async () => {
    const client = new RawClient(port);
    client.send(flags, option(6, goData("memory")), option(3), option(2));
    await client.untilClosed();
    expect(memory).toMatchObject({ opened: 1, closed: 1 });
    expect(client.received.includes("second")).toBe(true);
    expect(client.received.readUInt32BE(client.received.length - 8)).toBe(1);
  });

  it("is refused beyond the number of connections", async () => {
    const clients = Array.from({ length: 8 }, () => new RawClient(port));
    for (const client of clients) await client.untilBytes(18);
    await new RawClient(port).untilClosed();
    for (const client of clients) client.socket.destroy();
    await waitUntil("there is room again", async () => {
      const client = new RawClient(port);
      await client.untilBytes(18);
      client.socket.destroy();
      return true;
    });
  });
});

describe("a request that makes no sense", () => {
  const cut: Record<string, Buffer> = {
    "a wrong magic": request({ type: 0, length: 512, magic: 0x25609514 }),
    "a write of more than 32 MiB": request({ type: 1, length: 32 * 1024 * 1024 + 1 }),
    noise: Buffer.from(Array.from({ length: 4096 }, (_, place) => (place * 37) & 255)),
  };
  it.each(Object.entries(cut))("ends its connection: %s", async (_what, bytes) => {
    const client = await new RawClient(port).go("memory");
    client.send(bytes);
    await client.untilClosed();
    await waitUntil("its session is closed", () => memory.closed === 1);
    expect(memory.requests).toEqual([]);
    await expectAlive();
  });

  const refused: Record<string, [Buffer, number]> = {
    "an unknown command": [request({ type: 77, length: 512 }), 22],
    "unknown flags": [request({ type: 0, length: 512, flags: 0x8000 }), 22],
    "fast zero, which was not offered": [request({ type: 6, length: 512, flags: 16 }), 22],
    "a read of more than 32 MiB": [request({ type: 0, length: 0xffffffff }), 22],
    "a read at the end of the numbers": [request({ type: 0, offset: 0xffff_ffff_ffff_ffffn, length: 1 }), 22],
    "a write behind the end": [
      Buffer.concat([request({ type: 1, offset: BigInt(SIZE), length: 3 }), filled(3)]),
      28,
    ],
    "a write of nothing": [request({ type: 1 }), 22],
    "a flush of a range": [request({ type: 3, offset: 512n, length: 512 }), 22],
  };
  it.each(Object.entries(refused))(
    "is answered, and the next one is served: %s",
    async (_what, [bytes, errno]) => {
      const client = await new RawClient(port).go("memory");
      client.send(bytes, request({ type: 0, length: 5, cookie: 0xfedcba9876543210n }));
      await client.untilBytes(16 + 16 + 5);
      expect(client.received.readUInt32BE(4)).toBe(errno);
      expect(client.received.readBigUInt64BE(16 + 8)).toBe(0xfedcba9876543210n);
      expect(memory.requests).toHaveLength(1);
      client.socket.destroy();
    },
  );
});
