import { existsSync } from "node:fs";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { GIB, MIB } from "../../shared/units.js";
import { randomData } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { Rig } from "./rig.js";

test("what is written is read back and is on every member", async () => {
  const rig = await Rig.create({ mirrors: 2 });
  await rig.attach();
  const client = await rig.open();
  expect(client.size).toBe(2 * GIB);
  const data = randomData("serving", 3 * MIB);
  await client.write(GIB - MIB, data); // across the boundary of the two mirrors
  await client.flush();
  expect((await client.read(GIB - MIB, data.length)).equals(data)).toBe(true);
  for (const disk of [0, 1, 2]) {
    expect(rig.peek(0, disk, GIB - MIB, MIB).equals(data.subarray(0, MIB))).toBe(true);
    expect(rig.peek(1, disk, 0, 2 * MIB).equals(data.subarray(MIB))).toBe(true);
  }
});

test("trim and write zeroes read as zeros afterwards, across mirrors too", async () => {
  const rig = await Rig.create({ mirrors: 2 });
  await rig.attach();
  const client = await rig.open();
  const data = randomData("zeroes", 2 * MIB);
  await client.write(GIB - MIB, data);
  await client.trim(GIB - MIB, MIB / 2);
  await client.zero(GIB - 4096, MIB);
  const expected = Buffer.from(data)
    .fill(0, 0, MIB / 2)
    .fill(0, MIB - 4096, 2 * MIB - 4096);
  expect((await client.read(GIB - MIB, data.length)).equals(expected)).toBe(true);
  for (const disk of [0, 1, 2])
    expect(rig.peek(0, disk, GIB - MIB, MIB).equals(expected.subarray(0, MIB))).toBe(true);
});

test("a detach is refused while a client is connected, and then flushes, answers and ends with 0", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("detach", 4096));
  await expect(rig.control("detach", {})).rejects.toThrow("EBUSY");
  await client.close();
  await waitUntil("the client is gone", async () => (await rig.status()).clients === 0);
  await rig.control("detach", {});
  expect(await rig.volume?.exited).toBe(0);
  expect(existsSync(rig.socket)).toBe(false);
  expect(existsSync(rig.link)).toBe(false);
});

test("SIGTERM flushes and ends with 0 although a client is connected", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("term", 4096));
  rig.volume?.signal("SIGTERM");
  expect(await rig.volume?.exited).toBe(0);
});

test("a client that sends garbage or leaves in the middle harms nobody", async () => {
  const rig = await Rig.create();
  await rig.attach();
  const client = await rig.open();
  for (const garbage of ["\0\0\0\x03IHAVEOPTxxxxxxxxxxxxxxxx", "GET / HTTP/1.0\r\n\r\n"]) {
    const socket = connect(rig.socket);
    socket.on("error", () => undefined);
    await new Promise<void>((resolve) =>
      socket.once("connect", () => socket.write(garbage, () => resolve())),
    );
    socket.destroy();
  }
  const leaver = await rig.open();
  const lost = leaver.write(0, Buffer.alloc(8 * MIB)).catch(() => undefined);
  (leaver as unknown as { socket: { destroy(): void } }).socket.destroy();
  await lost;
  const data = randomData("garbage", 4096);
  await client.write(MIB, data);
  expect((await client.read(MIB, 4096)).equals(data)).toBe(true);
});
