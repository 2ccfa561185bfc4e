import { renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { writeDurable } from "../../agents/common/durable-file.js";
import { showDisk, showExtent, showHeadServer, showStorageServer, showVolume } from "../../shared/ids.js";
import { BindStatus, FailureTarget, MemberStatus } from "../../shared/states.js";
import { membersOf, type TestCluster } from "../harness/cluster.js";
import { editDatabase } from "../harness/manager-database.js";
import type { TestServer } from "../harness/test-server.js";
import { run } from "../harness/tools.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { createAttached } from "../harness/volumes.js";

const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

async function vasCheck(
  cluster: TestCluster,
): Promise<{ readonly code: number | null; readonly lines: string[] }> {
  const environment = { ...process.env, VAS_MANAGER: `${cluster.manager.plan.address}:8881` };
  const { code, stdout } = await run(process.execPath, [program, "check"], environment);
  return { code, lines: stdout.trimEnd().split("\n") };
}

/** Members of a volume, by the server that they are on. */
async function membersByServer(cluster: TestCluster, lvolid: number) {
  const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  return members.map(({ lvolid: dextid, lvolspec }) => ({ dextid, ...lvolspec }));
}

/** Restarts a storage agent, with its files changed meanwhile; its exports go on. */
async function editAgent(server: TestServer, edit: () => void | Promise<void>): Promise<void> {
  await server.killControl();
  await edit();
  server.up();
  await server.waitUntilAnswers();
}

/** Where a storage agent keeps what a volume may touch. */
function grantFile(server: TestServer, lvolid: number): string {
  return join(String(server.plan.conf.ssvr_agent?.state_dir), "volumes", `${showVolume(lvolid)}.json`);
}

/** No such volume was ever made. */
const NO_VOLUME = 255;

test("what agents hold and the database does not know, or the other way round, is named", async () => {
  const cluster = await useCluster({ storageServers: 4 });
  const [head] = cluster.heads as [TestServer];
  const used = { gigabytes: 1, redundancy: 3, head };
  const one = await createAttached(cluster, { ...used, name: "one" });
  const two = await createAttached(cluster, { ...used, name: "two" });
  expect(await vasCheck(cluster)).toEqual({ code: 0, lines: ["nothing is wrong"] });

  const [counted, older] = await membersByServer(cluster, one);
  const [closed] = await membersByServer(cluster, two);
  if (counted === undefined || older === undefined || closed === undefined) throw new Error("no members");
  const setStatus = (status: number): string =>
    `UPDATE extent SET status = ${status} WHERE dextid = ${counted.dextid}`;
  const addGeneration = (by: number): string =>
    `UPDATE extent SET generation = generation + ${by} WHERE dextid = ${older.dextid}`;
  const hsvrid = await cluster.headServerId(head);
  await editDatabase(cluster, (database) => {
    database.exec(setStatus(MemberStatus.SPARE));
    database.exec(addGeneration(-1));
    database.exec(`UPDATE volume SET bind_status = 0, hsvrid = NULL, epoch_open = 0 WHERE lvolid = ${two}`);
  });

  const broken = await vasCheck(cluster);
  expect(broken.code).toBe(1);
  for (const words of [
    [showHeadServer(hsvrid), "counts", showExtent(counted.dextid), "as in sync", showVolume(one)],
    [showStorageServer(older.ssvrid), showVolume(one), showExtent(older.dextid), "under generation"],
    [showExtent(older.dextid), "has generation", "but its server knows"],
    [showHeadServer(hsvrid), "runs epoch 1 of", showVolume(two), "attached nowhere"],
    [showStorageServer(closed.ssvrid), "lets epoch 1 of", showVolume(two), "that epoch is closed"],
  ])
    expect(broken.lines).toContainEqual(expect.stringMatching(new RegExp(words.join(".*"))));

  await editDatabase(cluster, (database) => {
    database.exec(setStatus(MemberStatus.INSYNC));
    database.exec(addGeneration(1));
    database.exec(
      `UPDATE volume SET bind_status = ${BindStatus.BOUND}, hsvrid = ${hsvrid}, epoch_open = 1 WHERE lvolid = ${two}`,
    );
  });
  await expectConsistent(cluster);
});

test("a grant that was made up, a disk that went away and a server that is out of use are named", async () => {
  // A server whose agent is restarted is not to be taken for silent: then its disks would be out of use.
  const cluster = await useCluster({ storageServers: 4, manager: { server_check_interval: 3_600 } });
  const [forged, diskless, away] = cluster.storage as [TestServer, TestServer, TestServer];
  const ids = {
    forged: await cluster.storageServerId(forged),
    diskless: await cluster.storageServerId(diskless),
    away: await cluster.storageServerId(away),
  };
  const disks = await cluster.api("listPhysicalDisks", {});
  const diskOf = (ssvrid: number): number => disks.find((disk) => disk.ssvrid === ssvrid)?.pdskid ?? 0;
  const file = grantFile(forged, NO_VOLUME);
  const extent = { dextid: 254, pdskid: diskOf(ids.forged), offset: 0, capacity: 1, generation: 1 };
  const grant = { epoch: 3, hsvrid: 1, version: 1, extents: [extent] };
  await editAgent(forged, () => writeDurable(file, { lvolid: NO_VOLUME, revoked: 2, grant, concerned: [] }));
  const [path = ""] = diskless.plan.disks;
  await editAgent(diskless, () => renameSync(path, `${path}.away`));
  await cluster.api("notifyFailure", { target: FailureTarget.SSVR, targetid: ids.away });

  const broken = await vasCheck(cluster);
  expect(broken.code).toBe(1);
  const named = [
    `${showStorageServer(ids.forged)} lets epoch 3 of ${showVolume(NO_VOLUME)} write ${showExtent(254)}, but there is no such volume`,
    `${showDisk(diskOf(ids.diskless))} is in use, but ${showStorageServer(ids.diskless)} does not serve it: the disk ${path} can't be opened`,
    `not compared: storage server ${showStorageServer(ids.away)}: it is OFFLINE`,
  ];
  for (const words of named) expect(broken.lines).toContainEqual(expect.stringContaining(words));

  await editAgent(forged, () => rmSync(file));
  await editAgent(diskless, () => renameSync(`${path}.away`, path));
  await expectConsistent(cluster);
  expect(await vasCheck(cluster)).toEqual({ code: 0, lines: ["nothing is wrong", named[2]] });
});
