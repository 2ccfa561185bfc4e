import { expect, test } from "vitest";
import { MemberStatus } from "../../shared/states.js";
import { GIB, MIB } from "../../shared/units.js";
import { randomData } from "../harness/random-data.js";
import { waitUntil } from "../harness/wait-until.js";
import { Rig } from "./rig.js";

const REGION = 16 * MIB;
const REGIONS = GIB / REGION;
const PIECE = 64 * 1024;
/** The disk that the others are copied to. */
const TARGET = 3;

/** Notes are made every 64 MiB: the third is made long before, and the end is far away. */
const MUCH = 248 * MIB;

/** A volume on three disks with data in every region, none of whose bits is set; the fourth disk is to have it, too. */
async function filledRig(): Promise<Rig> {
  const rig = await Rig.create({ disks: 4, memberTimeoutMs: 60_000 });
  await rig.attach();
  const client = await rig.open();
  for (let region = 0; region < REGIONS; region += 1)
    await client.write(region * REGION, randomData(`fill ${region}`, PIECE));
  await client.close();
  await detach(rig);
  await rig.attach();
  return rig;
}

async function detach(rig: Rig): Promise<void> {
  await waitUntil("the client is gone", async () => (await rig.status()).clients === 0);
  await rig.control("detach", {});
  await rig.volume?.exited;
}

/** The manager gives the member a place again, or takes it. */
function setTarget(rig: Rig, status: MemberStatus): void {
  const row = rig.manager.mirrors.get(rig.mirrorid(0));
  row?.members.set(rig.dextid(0, TARGET), status);
  if (row !== undefined) row.version += 1;
}

/** Copies until the target has noted much of it, then kills the volume process. */
async function copyPartly(rig: Rig): Promise<void> {
  const cut = expect(rig.resync(0, TARGET)).rejects.toThrow();
  await waitUntil("much is copied", async () => {
    const [resync] = (await rig.status()).resyncs;
    return resync.copied >= MUCH;
  });
  rig.disk(TARGET).process?.signal("SIGSTOP");
  await rig.volume?.kill();
  rig.disk(TARGET).process?.signal("SIGCONT");
  await cut;
}

/** Regions of the target that are not as those of the first disk. */
function differing(rig: Rig): number[] {
  const regions = Array.from({ length: REGIONS }, (_, region) => region);
  return regions.filter((region) => {
    const [at, length] = [region * REGION, 3 * MIB];
    return !rig.peek(0, TARGET, at, length).equals(rig.peek(0, 0, at, length));
  });
}

test("copying that was cut short goes on where it was, with what was written meanwhile", async () => {
  const rig = await filledRig();
  setTarget(rig, MemberStatus.SPARE);
  await copyPartly(rig);
  await rig.attach();
  const client = await rig.open();
  for (const region of [0, 3, REGIONS - 1])
    await client.write(region * REGION + MIB, randomData(`missed ${region}`, PIECE));
  await rig.resync(0, TARGET);
  const [first = 0, second = 0] = await rig.chunksCopied(2);
  expect(first).toBe(GIB / MIB);
  // 64 MiB may not have been noted, and three regions were written.
  expect(second).toBeLessThanOrEqual(first - MUCH / MIB + 64 + 3 * 16);
  await client.flush();
  expect(differing(rig)).toEqual([]);
});

test("a member that its mirror did without since, and cleared bits, is given everything", async () => {
  const rig = await filledRig();
  setTarget(rig, MemberStatus.SPARE);
  await copyPartly(rig);
  setTarget(rig, MemberStatus.FAULTY);
  await rig.attach();
  const client = await rig.open();
  await client.write(0, randomData("without it", PIECE));
  await client.close();
  // With all members that it has in sync it clears all bits.
  await detach(rig);
  setTarget(rig, MemberStatus.SPARE);
  await rig.attach();
  await rig.resync(0, TARGET);
  expect(await rig.chunksCopied(2)).toEqual([GIB / MIB, GIB / MIB]);
  expect(differing(rig)).toEqual([]);
});
