import { expect, test } from "vitest";
import { registerHeadServer } from "../../manager/operations/register-head-server.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import type { CommitNote } from "../../manager/store/open-store.js";
import { State, sectorsOf } from "./state.js";

test("a registration that is repeated and tells nothing new commits nothing", async () => {
  const state = await State.open();
  const notes: CommitNote[] = [];
  const note = (commit: CommitNote): void => void notes.push(commit);
  const head = { ip_data: ["10.0.0.1"], port: 8882, boot_id: "boot", running: [] };
  const storage = { ip_data: ["10.0.0.2"], port: 8883, boot_id: "boot", zone: "a" };
  const disk = { ssvrid: 1, local_path: "/dev/sdb", capacity: sectorsOf(4), serial: "s", nbd_port: 10_810 };
  const registerAll = async (starting: boolean): Promise<void> => {
    await state.executor.run(registerHeadServer, { ...head, starting }, note);
    await state.executor.run(registerStorageServer, { ...storage, starting }, note);
    await state.executor.run(registerPhysicalDisk, { ...disk, pdskid: starting ? undefined : 1 }, note);
  };
  await registerAll(true);
  notes.length = 0;
  await registerAll(false);
  expect(notes.filter(({ isNew }) => isNew)).toEqual([]);
  await state.executor.run(registerStorageServer, { ...storage, zone: "b", starting: false }, note);
  expect(notes.filter(({ isNew }) => isNew)).toHaveLength(1);
});
