import { expect, test } from "vitest";
import { callControl } from "../../agents/common/control-socket.js";
import { MemberStatus } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { randomData } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { Rig } from "./rig.js";

/** Nothing is done without because it is slow, or away for as long as a process takes to start. */
const NEVER_MS = 300_000;

test("a member whose disk is killed is reported before the write that it missed is acknowledged", async () => {
  const rig = await Rig.create({ mirrors: 2 });
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("before", MIB));
  await rig.disk(1).kill();
  const data = randomData("after", MIB);
  await client.write(0, data);
  expect(rig.manager.statusOf(rig.mirrorid(0), rig.dextid(0, 1))).toBe(MemberStatus.SPARE);
  expect((await client.read(0, MIB)).equals(data)).toBe(true);
  // The other mirror missed nothing (rule R2), and is read from its other members.
  expect(rig.manager.statusOf(rig.mirrorid(1), rig.dextid(1, 1))).toBe(MemberStatus.INSYNC);
  expect((await client.read(1024 * MIB, 3 * MIB)).length).toBe(3 * MIB);
});

test("a frozen disk fails after the member timeout, and what it was sent can't land any more", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("cold", MIB));
  rig.disk(2).process?.signal("SIGSTOP");
  const data = randomData("frozen", MIB);
  await client.write(0, data);
  expect(rig.manager.insync(rig.mirrorid(0))).toEqual([rig.dextid(0, 0), rig.dextid(0, 1)]);
  expect(await rig.memberState(0, 2)).toBe("out");
  rig.disk(2).process?.signal("SIGCONT");
  await rig.resync(0, 2);
  expect(rig.manager.insync(rig.mirrorid(0))).toHaveLength(3);
  expect(rig.peek(0, 2, 0, MIB).equals(data)).toBe(true);
});

test("a disk whose process is restarted at once loses nothing and is not reported", async () => {
  const rig = await Rig.create({ memberTimeoutMs: NEVER_MS });
  await rig.attach();
  const client = await rig.open();
  await rig.disk(0).kill();
  const data = randomData("restart", MIB);
  const write = client.write(0, data);
  await rig.startDisk(rig.disk(0));
  await write;
  expect(rig.manager.reports).toEqual([]);
  for (const disk of [0, 1, 2]) expect(rig.peek(0, disk, 0, MIB).equals(data)).toBe(true);
});

test("while the manager is away a write waits, and it is acknowledged when the manager is back", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  // Its region's bit is durable: nothing but the failure itself keeps the next write waiting.
  await client.write(0, randomData("before", 4096));
  await rig.manager.stop();
  await rig.disk(1).kill();
  let acknowledged = false;
  const write = client.write(0, randomData("away", 4096)).then(() => {
    acknowledged = true;
  });
  await waitUntil("the member is failing", async () => (await rig.memberState(0, 1)) === "failing");
  // A later one, of another region, must not overtake.
  const later = client.write(64 * MIB, randomData("away too", 4096));
  expect((await client.read(0, 4096)).length).toBe(4096);
  expect(acknowledged).toBe(false);
  await rig.manager.start();
  await Promise.all([write, later]);
  expect(rig.manager.statusOf(rig.mirrorid(0), rig.dextid(0, 1))).toBe(MemberStatus.SPARE);
});

test("the last good copy is kept: writes, reads and flushes wait for its disk", async () => {
  const rig = await Rig.create({ disks: 2, redundancy: 2 });
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("old", MIB));
  await Promise.all([rig.disk(0).kill(), rig.disk(1).kill()]);
  const data = randomData("last", MIB);
  const write = client.write(0, data);
  await waitUntil("the manager kept one", () => rig.manager.reports.some(({ answer }) => answer === "EBUSY"));
  const flush = client.flush();
  const [last] = rig.manager.insync(rig.mirrorid(0));
  const index = Number(last) % 100;
  await rig.startDisk(rig.disk(index));
  await write;
  await flush;
  expect((await client.read(0, MIB)).equals(data)).toBe(true);
  await rig.startDisk(rig.disk(1 - index));
  await rig.resync(0, 1 - index);
  expect(rig.peek(0, 1 - index, 0, MIB).equals(data)).toBe(true);
});

test("a flush waits for no lost disk on which nothing is left to be flushed", async () => {
  const rig = await Rig.create({ mirrors: 2 });
  await rig.attach();
  const client = await rig.open();
  await client.flush();
  await client.write(0, randomData("unflushed", MIB));
  await rig.disk(0).kill();
  // One of the disk's two members missed it, and is let go. The other has nothing to flush, stays, and never hears of the disk again.
  let isFlushed = false;
  void client.flush().then(() => {
    isFlushed = true;
  });
  await waitUntil("the flush has ended", () => isFlushed, 60_000);
  expect(rig.manager.insync(rig.mirrorid(0))).toHaveLength(2);
  expect(rig.manager.insync(rig.mirrorid(1))).toHaveLength(3);
});

test("a report with a past version is repeated with the one that the manager has", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  const row = rig.manager.mirrors.get(rig.mirrorid(0));
  if (row !== undefined) row.version += 5;
  await rig.disk(1).kill();
  await client.write(0, randomData("again", 4096));
  const answers = rig.manager.reports.map(({ method, answer }) => `${method} ${answer}`);
  expect(answers).toEqual(["reportMemberFailure EAGAIN", "getMirror ok", "reportMemberFailure ok"]);
});

test("a closed epoch stops the process: exit code 3, and the write is not acknowledged", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  rig.manager.isOpen = false;
  await rig.disk(1).kill();
  await expect(client.write(0, randomData("closed", 4096))).rejects.toThrow();
  expect(await rig.volume?.exited).toBe(3);
});

test("a disk that refuses the volume stops the process: exit code 3, and nobody is reported", async () => {
  const rig = await Rig.create({ memberTimeoutMs: NEVER_MS });
  await rig.attach();
  const client = await rig.open();
  rig.isGranted = false;
  await Promise.all(rig.disks.map((disk) => rig.pushGrants(disk)));
  await client.write(0, randomData("refused", 4096)).catch(() => undefined);
  expect(await rig.volume?.exited).toBe(3);
  expect(rig.manager.reports).toEqual([]);
});

test("a request outside the grant stops the process too", async () => {
  const rig = await Rig.create({ memberTimeoutMs: NEVER_MS });
  await rig.attach();
  const client = await rig.open();
  const grants = { grants: [{ lvolid: 1, epoch: 1, extents: [] }], revoked: [] };
  await callControl(rig.disk(0).control, "setGrants", grants, 5000);
  await expect(client.write(0, randomData("outside", 4096))).rejects.toThrow();
  expect(await rig.volume?.exited).toBe(3);
  expect(rig.manager.reports).toEqual([]);
});

test("a storage server that was restarted has lost what was not flushed: its member is reported", async () => {
  const rig = await Rig.create({ memberTimeoutMs: NEVER_MS });
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("unflushed", 4096));
  await rig.disk(1).kill();
  rig.disk(1).reboot();
  await rig.startDisk(rig.disk(1));
  await waitUntil("it is reported", () => rig.manager.insync(rig.mirrorid(0)).length === 2);
  // Flushed writes are not lost.
  await client.flush();
  await rig.disk(2).kill();
  rig.disk(2).reboot();
  await rig.startDisk(rig.disk(2));
  await client.write(0, randomData("flushed", 4096));
  expect(rig.manager.insync(rig.mirrorid(0))).toEqual([rig.dextid(0, 0), rig.dextid(0, 2)]);
});

test("the last good copy that lost unflushed writes answers EIO until it is attached anew", async () => {
  const rig = await Rig.create({ disks: 2, redundancy: 1, memberTimeoutMs: NEVER_MS });
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("lost", 4096));
  await rig.disk(0).kill();
  rig.disk(0).reboot();
  await rig.startDisk(rig.disk(0));
  await waitUntil("it is kept", () => rig.manager.reports.some(({ answer }) => answer === "EBUSY"));
  await expect(client.read(0, 4096)).rejects.toThrow("errno 5");
  await expect(client.write(0, Buffer.alloc(4096))).rejects.toThrow("errno 5");
  // Nothing makes durable what is lost.
  await expect(client.flush()).rejects.toThrow("errno 5");
  // Nor is it copied; whoever asks for that is told what helps.
  rig.manager.mirrors.get(rig.mirrorid(0))?.members.set(rig.dextid(0, 1), MemberStatus.SPARE);
  await expect(rig.resync(0, 1)).rejects.toThrow("until the volume is detached and attached again");
});

test("a disk that is connected again is so in a higher incarnation, which ends what was sent before", async () => {
  const rig = await Rig.create({ memberTimeoutMs: NEVER_MS });
  await rig.attach();
  const client = await rig.open();
  const incarnation = async (): Promise<number> => {
    const status = (await callControl(rig.disk(0).control, "status", {}, 5_000)) as {
      connections: { incarnation: number }[];
    };
    return Math.max(...status.connections.map((connection) => connection.incarnation));
  };
  const before = await incarnation();
  await rig.disk(0).kill();
  await rig.startDisk(rig.disk(0));
  await client.write(0, randomData("connected again", 4096));
  expect(await incarnation()).toBeGreaterThan(before);
});

test("the next process makes equal what only some members have when one is killed", async () => {
  const rig = await Rig.create({ memberTimeoutMs: NEVER_MS });
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("all have it", MIB));
  rig.disk(2).process?.signal("SIGSTOP");
  const data = randomData("two have it", MIB);
  const lost = client.write(0, data).catch(() => undefined);
  const isOn = (disk: number): boolean => rig.peek(0, disk, 0, MIB).equals(data);
  await waitUntil("two have it", () => isOn(0) && isOn(1));
  await rig.volume?.kill();
  await rig.disk(2).kill();
  await lost;
  expect(isOn(2)).toBe(false);
  await rig.startDisk(rig.disk(2));
  await rig.attach();
  const first = rig.peek(0, 0, 0, MIB);
  for (const disk of [1, 2]) expect(rig.peek(0, disk, 0, MIB).equals(first)).toBe(true);
});

test("a layout tree from before a copy was dropped is refused by what the other copies say", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("all have it", MIB));
  await rig.disk(1).kill();
  await client.write(0, randomData("missed", MIB));
  await rig.volume?.kill();
  await rig.startDisk(rig.disk(1));
  const row = rig.manager.mirrors.get(rig.mirrorid(0));
  if (row === undefined) throw new Error("the mirror is gone");
  const { version } = row;
  row.version = 1;
  row.members.set(rig.dextid(0, 1), MemberStatus.INSYNC);
  const volume = rig.launch();
  row.version = version;
  row.members.set(rig.dextid(0, 1), MemberStatus.SPARE);
  await waitUntil(
    "it serves the volume or has ended",
    async () => volume.isOver || (await rig.status()).state === "serving",
  );
  expect(volume.isOver).toBe(true);
  expect(rig.log).toContain("ESTALE");
});
