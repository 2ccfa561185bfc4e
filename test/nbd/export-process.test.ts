import { readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { writeDurable } from "../../agents/common/durable-file.js";
import { NBD_CONNECTION_LOST } from "../../agents/common/nbd/protocol.js";
import { FaultyDisk } from "../harness/faulty-disk.js";
import { makeLoopDevice } from "../harness/loop-device.js";
import { randomData } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { flush, readBytes, readErrno, trim, writeBytes, writeZeroes } from "./client-calls.js";
import { ExportUnderTest, type Grants } from "./export-under-test.js";

const MIB = 1024 * 1024;
const EPERM = 1;
/** Volume 1 has two extents side by side and one apart; volume 2 has the one behind them. */
const GRANTS: Grants = {
  grants: [
    {
      lvolid: 1,
      epoch: 5,
      extents: [
        { start: 1 * MIB, end: 2 * MIB, dextid: 11 },
        { start: 2 * MIB, end: 3 * MIB, dextid: 12 },
        { start: 10 * MIB, end: 50 * MIB, dextid: 13 },
      ],
    },
    { lvolid: 2, epoch: 9, extents: [{ start: 3 * MIB, end: 4 * MIB, dextid: 21 }] },
  ],
  revoked: [{ lvolid: 1, epoch: 4 }],
};
const without = (lvolid: number): Grants => ({
  grants: GRANTS.grants.filter((grant) => grant.lvolid !== lvolid),
  revoked: [...GRANTS.revoked, { lvolid, epoch: 5 }],
});

/** Since when the export waits for a flush, or did when it died; 0 if it does not. Written if `change` is given. */
function syncedSince(change?: number): number {
  const file = join(disk.folder, "pdsk-0000002a.sync");
  const bytes = readFileSync(file);
  if (change !== undefined) bytes.writeDoubleLE(change);
  if (change !== undefined) writeFileSync(file, bytes);
  return bytes.readDoubleLE();
}

let disk: ExportUnderTest;
beforeEach(async () => {
  disk = new ExportUnderTest(64 * MIB);
  await disk.start(GRANTS);
});
afterEach(() => disk.remove());

describe("the grants of an export process", () => {
  it("admit a volume in its epoch only, and tell the boot id and the whole disk's size", async () => {
    const client = await disk.connect("/lvol-00000001/5/1");
    expect(client).toMatchObject({
      size: 64 * MIB,
      description: "boot=first-boot",
      canTrim: true,
      canFua: true,
    });
    for (const claim of [
      "/lvol-00000001/4",
      "/lvol-00000001/6",
      "/lvol-00000002/5",
      "/lvol-00000003/5",
      "",
      "/x",
    ]) {
      await expect(disk.connect(claim)).rejects.toMatchObject({ reason: "policy" });
    }
    await expect(disk.connect("/lvol-00000001/5", undefined, "pdsk-0000002b")).rejects.toMatchObject({
      reason: "unknown",
    });
  });

  const edges: [string, number, number, number][] = [
    ["a whole extent", 1 * MIB, MIB, 0],
    ["its first byte", 1 * MIB, 1, 0],
    ["its last byte", 3 * MIB - 1, 1, 0],
    ["the byte before it", 1 * MIB - 1, 1, EPERM],
    ["two bytes around its start", 1 * MIB - 1, 2, EPERM],
    ["the byte behind it, which is another volume's", 3 * MIB, 1, EPERM],
    ["two bytes around its end", 3 * MIB - 1, 2, EPERM],
    ["two bytes across two extents of the volume", 2 * MIB - 1, 2, EPERM],
    ["all of two extents of the volume", 1 * MIB, 2 * MIB, EPERM],
    ["the start of the disk", 0, 512, EPERM],
    ["the end of the disk", 64 * MIB - 512, 512, EPERM],
  ];
  it.each(edges)("hold at %s for every command", async (_what, offset, length, errno) => {
    const client = await disk.connect("/lvol-00000001/5/1");
    const data = randomData("edge", length);
    expect(await readErrno(client, offset, length)).toBe(errno);
    expect(await writeBytes(client, offset, data)).toBe(errno);
    expect(disk.fileBytes(offset, length).equals(errno === 0 ? data : Buffer.alloc(length))).toBe(true);
    expect(await trim(client, offset, length)).toBe(errno);
    expect(await writeZeroes(client, offset, length)).toBe(errno);
    expect(await flush(client)).toBe(0);
    expect(disk.fileBytes(offset, length).every((byte) => byte === 0)).toBe(true);
  });

  it("that lose an epoch end its connections, and no others", async () => {
    const ended: string[] = [];
    const one = await disk.connect("/lvol-00000001/5/1", () => ended.push("one"));
    const two = await disk.connect("/lvol-00000002/9/1", () => ended.push("two"));
    await disk.call("setGrants", without(1));
    // What was sent before the client knew lands nowhere.
    expect(await writeBytes(one, 1 * MIB, Buffer.from("late"))).toBe(NBD_CONNECTION_LOST);
    expect(disk.fileBytes(1 * MIB, 4).every((byte) => byte === 0)).toBe(true);
    expect(await writeBytes(two, 3 * MIB, Buffer.from("mine"))).toBe(0);
    expect(ended).toEqual(["one"]);
    await expect(disk.connect("/lvol-00000001/5/2")).rejects.toMatchObject({ reason: "policy" });
    expect((await disk.status()).connections).toMatchObject([{ lvolid: 2, epoch: 9, incarnation: 1 }]);
  });

  it("that lose or gain an extent leave the connection as it is", async () => {
    const client = await disk.connect("/lvol-00000001/5/1");
    expect(await writeBytes(client, 1 * MIB, Buffer.from("a"))).toBe(0);
    const extents = [
      { start: 2 * MIB, end: 3 * MIB, dextid: 12 },
      { start: 5 * MIB, end: 6 * MIB, dextid: 14 },
    ];
    await disk.call("setGrants", { grants: [{ lvolid: 1, epoch: 5, extents }], revoked: [] });
    expect(await writeBytes(client, 1 * MIB, Buffer.from("b"))).toBe(EPERM);
    expect(await readErrno(client, 1 * MIB, 1)).toBe(EPERM);
    expect(await writeBytes(client, 2 * MIB, Buffer.from("c"))).toBe(0);
    expect(await writeBytes(client, 5 * MIB, Buffer.from("d"))).toBe(0);
    expect(disk.fileBytes(1 * MIB, 1).toString()).toBe("a");
  });

  it("stay as they are when a document makes no sense", async () => {
    const client = await disk.connect("/lvol-00000001/5/1");
    await expect(disk.call("setGrants", { grants: "all" })).rejects.toMatchObject({ errno: "EINVAL" });
    expect(await writeBytes(client, 1 * MIB, Buffer.from("a"))).toBe(0);
  });

  it("are read again before anything is served, after the process was killed", async () => {
    const client = await disk.connect("/lvol-00000001/5/7");
    expect(await writeBytes(client, 2 * MIB, Buffer.from("kept"), true)).toBe(0);
    await disk.kill9();
    expect(await flush(client)).toBe(NBD_CONNECTION_LOST);
    await disk.start(without(1), { bootId: "second-boot" });
    await expect(disk.connect("/lvol-00000001/5/8")).rejects.toMatchObject({ reason: "policy" });
    const other = await disk.connect("/lvol-00000002/9/0");
    expect(other.description).toBe("boot=second-boot");
    expect(disk.fileBytes(2 * MIB, 4).toString()).toBe("kept");
  });

  it("are held to the checksum of their file, if it has one", async () => {
    await disk.kill9();
    const grantsFile = join(disk.folder, "durable");
    await writeDurable(grantsFile, GRANTS);
    await disk.start(without(1), { grantsFile });
    const client = await disk.connect("/lvol-00000001/5");
    expect(await writeBytes(client, 1 * MIB, Buffer.from("a"))).toBe(0);
  });
});

describe("incarnations of a volume process", () => {
  it("end the lower ones when they are admitted, and refuse those that come later", async () => {
    const ended: string[] = [];
    const first = await disk.connect("/lvol-00000001/5/1", () => ended.push("first"));
    const equal = await disk.connect("/lvol-00000001/5/1");
    expect(await writeBytes(equal, 1 * MIB, Buffer.from("a"))).toBe(0);
    expect(await writeBytes(first, 1 * MIB, Buffer.from("b"))).toBe(0);
    const second = await disk.connect("/lvol-00000001/5/2");
    expect(await writeBytes(first, 1 * MIB, Buffer.from("c"))).toBe(NBD_CONNECTION_LOST);
    expect(await writeBytes(equal, 1 * MIB, Buffer.from("d"))).toBe(NBD_CONNECTION_LOST);
    expect(ended).toEqual(["first"]);
    await expect(disk.connect("/lvol-00000001/5/1")).rejects.toMatchObject({ reason: "policy" });
    expect((await readBytes(second, 1 * MIB, 1)).toString()).toBe("b");
    expect((await disk.status()).connections).toMatchObject([{ lvolid: 1, incarnation: 2 }]);
    second.destroy();
    await waitUntil("nobody is connected", async () => (await disk.status()).connections.length === 0);
    await expect(disk.connect("/lvol-00000001/5/1")).rejects.toMatchObject({ reason: "policy" });
  });
});

describe("an export process", () => {
  it("gives room back for large trims, and reads zeros after them and after large zeroes", async () => {
    const client = await disk.connect("/lvol-00000001/5/1");
    const data = randomData("large", 32 * MIB);
    expect(await writeBytes(client, 10 * MIB, data)).toBe(0);
    expect(await writeBytes(client, 42 * MIB, data.subarray(0, 8 * MIB), true)).toBe(0);
    const before = disk.allocated();
    expect(await trim(client, 11 * MIB, 16 * MIB)).toBe(0);
    expect(before - disk.allocated()).toBeGreaterThan(15 * MIB);
    expect(await writeZeroes(client, 30 * MIB + 1, 10 * MIB + 5)).toBe(0);
    const model = Buffer.alloc(40 * MIB);
    data.copy(model, 0);
    data.copy(model, 32 * MIB, 0, 8 * MIB);
    model.fill(0, 1 * MIB, 17 * MIB).fill(0, 20 * MIB + 1, 30 * MIB + 6);
    expect(disk.fileBytes(10 * MIB, 40 * MIB).equals(model)).toBe(true);
    const read = await Promise.all([
      readBytes(client, 10 * MIB, 20 * MIB),
      readBytes(client, 30 * MIB, 20 * MIB),
    ]);
    expect(Buffer.concat(read).equals(model)).toBe(true);
  });

  it("answers EIO where its file was cut off, and serves the rest", async () => {
    const { truncateSync } = await import("node:fs");
    const client = await disk.connect("/lvol-00000001/5/1");
    truncateSync(disk.disk, 20 * MIB);
    expect(await readErrno(client, 20 * MIB - 1, 2)).toBe(5);
    expect(await readErrno(client, 20 * MIB - 1, 1)).toBe(0);
  });

  it("answers `stop`, then ends with 0", async () => {
    const client = await disk.connect("/lvol-00000001/5/1");
    expect(await disk.call("stop")).toEqual({});
    expect(await disk.ended()).toBe(0);
    expect(await flush(client)).toBe(NBD_CONNECTION_LOST);
  });

  it("begins another life of its disk after one that died while the disk hung in a flush and then failed it", async () => {
    const faulty = await FaultyDisk.create(1);
    const path = makeLoopDevice(faulty.path);
    await disk.kill9();
    await disk.start(GRANTS, { path });
    const client = await disk.connect("/lvol-00000001/5/1");
    expect(await writeBytes(client, 2 * MIB, Buffer.from("in the page cache"))).toBe(0);
    faulty.set({ hangs: true });
    const flushed = flush(client);
    await waitUntil("the flush is under way", () => syncedSince() !== 0);
    disk.child?.kill("SIGKILL");
    faulty.set({ writes: "EIO", flushes: "EIO" });
    expect(await flushed).toBe(NBD_CONNECTION_LOST);
    await disk.ended();
    faulty.heal();
    // As if it had hung for a minute.
    syncedSince(syncedSince() - 60_000);
    await disk.start(GRANTS, { path });
    const next = await disk.connect("/lvol-00000001/5/1");
    expect(next.description).toMatch(/^boot=first-boot\/./);
    // What was lost reads as lost: it comes from the disk, not from the page cache.
    expect((await readBytes(next, 2 * MIB, 2)).equals(Buffer.alloc(2))).toBe(true);
    expect(await flush(next)).toBe(0);
    expect(syncedSince()).toBe(0);
  });

  it("tells what it is, and that it is sound", async () => {
    expect(await disk.status()).toEqual({ pid: disk.child?.pid, pdskid: 42, connections: [], broken: false });
  });

  it("says in one sentence why it can't start, and ends with 1", async () => {
    await disk.kill9();
    const taken = createServer();
    await new Promise<void>((resolve) => taken.listen(0, "127.0.0.1", resolve));
    const { port } = taken.address() as { port: number };
    const cases: [object, RegExp][] = [
      [{ port }, /^port \d+ of 127\.0\.0\.1 can't be used: .*EADDRINUSE/],
      [{ path: "/nonexistent/disk" }, /^the disk \/nonexistent\/disk can't be opened: ENOENT/],
      [{ path: disk.folder }, /^the disk .* can't be opened: EISDIR/],
      [{ bytes: 65 * MIB }, /^the disk .* is no file of at least/],
      [{ grantsFile: "/nonexistent/grants" }, /ENOENT.*grants/],
      [{ addresses: [] }, /addresses/],
    ];
    for (const [changes, sentence] of cases) {
      const child = disk.launch(GRANTS, changes);
      expect(await new Promise((resolve) => child.once("close", resolve))).toBe(1);
      expect(disk.errors).toMatch(sentence);
      expect(disk.errors.trim().split("\n")).toHaveLength(1);
    }
    taken.close();
  });
});
