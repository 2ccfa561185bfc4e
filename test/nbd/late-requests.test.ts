import { connect, createServer, type Socket } from "node:net";
import { afterEach, beforeEach, expect, it, onTestFinished } from "vitest";
import { connectNbd } from "../../agents/common/nbd/client.js";
import { randomData } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { writeBytes } from "./client-calls.js";
import { ExportUnderTest, freePort, type Grants } from "./export-under-test.js";

/** Rule R3: what is still on its way when a later connection is admitted, or a grant is gone, does not land. */

const MIB = 1024 * 1024;
const extents = [{ start: 0, end: 8 * MIB, dextid: 11 }];
const GRANTED: Grants = { grants: [{ lvolid: 1, epoch: 5, extents }], revoked: [] };
const REVOKED: Grants = { grants: [], revoked: [{ lvolid: 1, epoch: 5 }] };

let disk: ExportUnderTest;
beforeEach(async () => {
  disk = new ExportUnderTest(64 * MIB);
  await disk.start(GRANTED);
});
afterEach(() => disk.remove());

/** A link on which what the head sends can be held up; whoever ends, the other end does not hear of it meanwhile. */
async function openLink() {
  const port = await freePort();
  let isHeld = false;
  const held: { readonly to: Socket; readonly data: Buffer }[] = [];
  const server = createServer((head) => {
    const to = connect(disk.port, "127.0.0.1");
    head.on("error", () => undefined);
    to.on("error", () => undefined);
    head.on("data", (data: Buffer) => (isHeld ? held.push({ to, data }) : to.write(data)));
    to.on("data", (data: Buffer) => isHeld || head.write(data));
  });
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  return {
    port,
    held,
    hold: () => {
      isHeld = true;
    },
    /** What was held up arrives. */
    release: () => Promise.all(held.map(({ to, data }) => new Promise((resolve) => to.write(data, resolve)))),
  };
}

const late = randomData("late", 65_536);

/** A connection of the head whose write is on its way. */
async function writeHeldUp(incarnation: number) {
  const link = await openLink();
  const where = { host: "127.0.0.1", port: link.port };
  const client = await connectNbd(where, `pdsk-0000002a/lvol-00000001/5/${incarnation}`, {
    timeoutMs: 60_000,
    onClose: () => undefined,
  });
  onTestFinished(() => client.destroy());
  link.hold();
  void writeBytes(client, 0, late).catch(() => undefined);
  await waitUntil(
    "it is on its way",
    () => link.held.reduce((sum, { data }) => sum + data.length, 0) > late.length,
  );
  return link;
}

it("a write of an earlier connection that arrives after the next one was admitted does not land", async () => {
  const link = await writeHeldUp(1);
  const next = await disk.connect("/lvol-00000001/5/2");
  const data = randomData("next", late.length);
  await writeBytes(next, 0, data);
  await link.release();
  // An answer on the next connection: what had arrived before has been dealt with.
  await writeBytes(next, MIB, data);
  expect(disk.fileBytes(0, late.length).equals(data)).toBe(true);
  expect((await disk.status()).connections).toMatchObject([{ incarnation: 2 }]);
  next.destroy();
});

it("a write that was under way when its epoch was revoked does not land after the answer to that", async () => {
  const link = await writeHeldUp(1);
  await disk.call("setGrants", REVOKED);
  const atAnswer = disk.fileBytes(0, late.length);
  await link.release();
  await disk.status();
  expect(atAnswer.equals(Buffer.alloc(late.length))).toBe(true);
  expect(disk.fileBytes(0, late.length).equals(atAnswer)).toBe(true);
});

it("of writes without an end, what is on the disk at the answer to a revoke is what stays there", async () => {
  const client = await disk.connect("/lvol-00000001/5/1");
  let isOver = false;
  const writers = Array.from({ length: 8 }, async (_, lane) => {
    for (let turn = 0; !isOver; turn += 1) {
      const errno = await writeBytes(client, lane * MIB, randomData(`${lane} ${turn}`, 65_536)).catch(
        () => -1,
      );
      if (errno !== 0) return;
    }
  });
  await waitUntil("all have written", () =>
    writers.every((_, lane) => !disk.fileBytes(lane * MIB, 65_536).equals(Buffer.alloc(65_536))),
  );
  await disk.call("setGrants", REVOKED);
  const atAnswer = disk.fileBytes(0, 8 * MIB);
  isOver = true;
  await Promise.all(writers);
  await disk.status();
  expect(disk.fileBytes(0, 8 * MIB).equals(atAnswer)).toBe(true);
  client.destroy();
});
