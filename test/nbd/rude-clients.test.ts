import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { createNbdServer, type NbdServer } from "../../agents/common/nbd/server.js";
import { waitUntil } from "../harness/wait-until.js";
import { MemoryExport } from "./memory-export.js";
import { RawClient, request } from "./raw-client.js";

const MIB = 1024 * 1024;
let memory: MemoryExport;
let server: NbdServer;
let port: number;

beforeEach(async () => {
  memory = new MemoryExport(4 * MIB);
  server = createNbdServer(memory.options());
  port = await server.listenTcp("127.0.0.1", 0);
});
afterEach(async () => {
  await server.close(0);
});

const write = (offset: number, data: Buffer): Buffer =>
  Buffer.concat([request({ type: 1, offset: BigInt(offset), length: data.length }), data]);

describe("a client that leaves in the middle", () => {
  it("of a payload has written nothing", async () => {
    const client = await new RawClient(port).go("memory");
    client.send(write(0, Buffer.from("whole")), write(100, Buffer.alloc(1000, 1)).subarray(0, 900));
    await client.untilBytes(16);
    client.socket.resetAndDestroy();
    await waitUntil("its session is closed", () => memory.closed === 1);
    expect(memory.bytes.toString("latin1", 0, 5)).toBe("whole");
    expect(memory.bytes.subarray(100, 1100).every((byte) => byte === 0)).toBe(true);
  });

  it("has its requests under way carried out, and their replies dropped", async () => {
    const waiting: (() => void)[] = [];
    memory.schedule = (answer) => waiting.push(answer);
    const client = await new RawClient(port).go("memory");
    client.send(write(0, Buffer.from("first")), request({ type: 0, length: MIB }), request({ type: 3 }));
    await waitUntil("three requests are under way", () => waiting.length === 3);
    client.socket.resetAndDestroy();
    await waitUntil("its session is closed", () => memory.closed === 1);
    for (const answer of waiting) answer();
    expect(memory.bytes.toString("latin1", 0, 5)).toBe("first");
    expect(server.connectionCount).toBe(0);
  });

  it("after saying goodbye gets the replies to all that it asked before", async () => {
    const waiting: (() => void)[] = [];
    memory.schedule = (answer) => waiting.push(answer);
    const client = await new RawClient(port).go("memory");
    client.send(
      write(0, Buffer.from("x")),
      request({ type: 0, length: 10 }),
      request({ type: 2 }),
      request({ type: 3 }),
    );
    await waitUntil("two requests are under way", () => waiting.length === 2);
    for (const answer of waiting) answer();
    await client.untilClosed();
    expect(client.received.length).toBe(16 + 16 + 10);
    expect(memory.requests).toHaveLength(2);
    expect(memory.closed).toBe(1);
  });
});

describe("a client that does not take its replies", () => {
  it("is not served further ahead than the bound, and is served on when it reads", async () => {
    const client = await new RawClient(port).go("memory");
    client.socket.pause();
    const count = 80;
    for (let each = 0; each < count; each += 1)
      client.send(request({ type: 0, length: MIB, cookie: BigInt(each) }));
    let seen = -1;
    await waitUntil("the server stops taking requests", () => {
      const before = seen;
      seen = memory.requests.length;
      return seen > 0 && seen === before;
    });
    // The kernel's buffers take a few MiB, the server's own bounds are 1 MiB waiting and one request.
    expect(memory.requests.length).toBeLessThan(40);
    let got = 0;
    client.socket.removeAllListeners("data");
    client.socket.on("data", (chunk: Buffer) => {
      got += chunk.length;
    });
    client.socket.resume();
    await waitUntil("all replies have come", () => got === count * (16 + MIB));
    client.socket.destroy();
  });

  it("has its requests under way bounded in bytes", async () => {
    const waiting: (() => void)[] = [];
    memory.schedule = (answer) => waiting.push(answer);
    const client = await new RawClient(port).go("memory");
    const piece = Buffer.alloc(2 * MIB, 7);
    for (let each = 0; each < 40; each += 1) client.send(write(0, piece));
    await waitUntil("32 MiB are under way", () => memory.requests.length === 16);
    for (let each = 0; each < 40; each += 1) {
      await waitUntil("another one is under way", () => waiting.length > 0);
      waiting.shift()?.();
    }
    await client.untilBytes(40 * 16);
    client.socket.destroy();
  });

  it("has its requests under way bounded in number", async () => {
    const waiting: (() => void)[] = [];
    memory.schedule = (answer) => waiting.push(answer);
    const client = await new RawClient(port).go("memory");
    client.send(...Array.from({ length: 3000 }, () => request({ type: 3 })));
    await waitUntil("1024 are under way", () => waiting.length === 1024);
    let answered = 0;
    await waitUntil("all are answered", () => {
      for (const answer of waiting.splice(0)) {
        answer();
        answered += 1;
      }
      return answered === 3000;
    });
    await client.untilBytes(3000 * 16);
    client.socket.destroy();
  });

  it("that sends single bytes costs no more than the bytes", async () => {
    const client = await new RawClient(port).go("memory");
    const data = Buffer.alloc(3000, 9);
    for (const byte of write(10, data)) {
      client.socket.write(Buffer.from([byte]));
      await new Promise(setImmediate);
    }
    await client.untilBytes(16);
    expect(memory.bytes.subarray(10, 3010).equals(data)).toBe(true);
    // 3028 bytes, however the kernel cut them: their holder is a slab, not a buffer for each.
    expect(memory.requests[0]?.payload.length).toBeLessThan(5);
    client.socket.destroy();
  });
});
