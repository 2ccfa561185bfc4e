import { expect, test } from "vitest";
import { deletePhysicalDisk } from "../../manager/operations/delete-physical-disk.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { notifyBadBlocks } from "../../manager/operations/notify-bad-blocks.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { getMirror } from "../../manager/operations/report-member.js";
import { readResync } from "../../manager/operations/resync-member.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { type Attached, attachedVolume, statusesOf } from "./attached.js";
import { detach } from "./detached.js";
import { healAll, nobody, placeOf } from "./heal-all.js";

const { INSYNC, FAULTY } = MemberStatus;
const { SSVR, PDSK, LVOL } = FailureTarget;

const fail = ({ state }: Attached, target: number, targetid: number) =>
  state.run(notifyFailure, { target, targetid });
const statuses = async ({ state, lvolid, dextids }: Attached) => {
  const all = await statusesOf(state, lvolid);
  return dextids.map((dextid) => all.get(dextid));
};

/** A volume with three copies, of which the servers of the last two were declared lost. */
async function oneSound(servers: number, isDetached: boolean): Promise<Attached> {
  const volume = await attachedVolume(servers);
  const { state, lvolid, dextids } = volume;
  const [, b, c] = dextids;
  if (isDetached) await detach(state, lvolid);
  for (const dextid of [b, c]) await fail(volume, SSVR, (await placeOf(volume, dextid)).ssvrid);
  return volume;
}

test.for(["bad blocks", "the extent", "the disk"])(
  "of a detached volume the last copy on a server that is not lost stays when %s is reported",
  async (what) => {
    const volume = await oneSound(3, true);
    const { state } = volume;
    const [a, b] = volume.dextids;
    const { pdskid, offset } = await placeOf(volume, a);
    if (what === "bad blocks") await state.run(notifyBadBlocks, { pdskid, blocks: [offset] });
    else if (what === "the extent") await fail(volume, LVOL, a);
    else await fail(volume, PDSK, pdskid);
    await healAll(state);
    expect(await statuses(volume)).toEqual([INSYNC, INSYNC, INSYNC]);
    await fail(volume, PDSK, pdskid);
    await expect(state.run(deletePhysicalDisk, { pdskid })).rejects.toMatchObject({ errno: "EBUSY" });

    // A sound copy is there again: what was reported can go.
    const { ssvrid } = await placeOf(volume, b);
    const back = { ip_data: [`10.2.0.${ssvrid}`], boot_id: "again" };
    expect(await state.run(registerStorageServer, back)).toBe(ssvrid);
    await healAll(state);
    expect(await statuses(volume)).toEqual([FAULTY, INSYNC, INSYNC]);
    expect(await state.run(deletePhysicalDisk, { pdskid })).toBe(0);
    expect(await state.findings()).toEqual([]);
  },
);

test("two of three copies that are reported are dropped, and their mirror's version rises with each", async () => {
  const volume = await attachedVolume(3);
  const { state, lvolid, mirrorid } = volume;
  const [a, b] = volume.dextids;
  const { version } = await state.run(getMirror, { lvolid, epoch: 1, mirrorid });
  await detach(state, lvolid);
  for (const dextid of [a, b, a]) await fail(volume, LVOL, dextid);
  expect(await statuses(volume)).toEqual([FAULTY, FAULTY, INSYNC]);
  const mirror = await state.store.db
    .selectFrom("mirror")
    .select("version")
    .where("mirrorid", "=", mirrorid)
    .executeTakeFirstOrThrow();
  expect(mirror.version).toBe(version + 2);
});

test("a head is not told to leave a copy while all others were reported too", async () => {
  const volume = await oneSound(6, false);
  const { state, mirrorid } = volume;
  const { pdskid, offset } = await placeOf(volume, volume.dextids[0]);
  await state.run(notifyBadBlocks, { pdskid, blocks: [offset] });
  for (let round = 0; round < 2; round += 1) await state.run(healMirror, { mirrorid, silentTooLong: nobody });
  const jobs = await state.claim("resync");
  expect(jobs).toHaveLength(3);
  for (const { subject: dextid } of jobs) {
    const plan = await state.run(readResync, { dextid });
    expect(plan).toMatchObject({ add: { lvolid: dextid }, remove: undefined });
  }
});
