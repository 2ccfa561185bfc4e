import { closeSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import { connect } from "node:net";
import { expect, test } from "vitest";
import { diskFileBytes, logPath } from "../../cli/local/server.js";
import { FailureTarget, Priority } from "../../shared/states.js";
import { extentPlace, MIB } from "../../shared/units.js";
import { membersOf, type TestCluster } from "../harness/cluster.js";
import { firstNonZero } from "../harness/disk-files.js";
import { faultOf } from "../harness/fault-of.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { firstMismatch, openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened, serverOfFirstMirror } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

/** A volume with content, detached. */
async function detachedVolume(cluster: TestCluster, redundancy: number) {
  const head = cluster.heads[0] as TestServer;
  const { lvolid, client } = await createOpened(cluster, { name: "data", gigabytes: 1, redundancy, head });
  const data = randomData("data", 8 * MIB);
  await writeAll(client, 0, data);
  await client.close();
  await cluster.api("detachLogicalVolume", { lvolid });
  const expectContent = async (): Promise<void> => {
    const again = await openVolume(head, "data");
    expect(await firstMismatch(again, 0, data)).toBeUndefined();
    await again.close();
  };
  return { head, lvolid, expectContent };
}

test("a detached volume outlives the deletion of a storage server, and is whole again after its next attach", async () => {
  const cluster = await useCluster({ storageServers: 4, diskGb: 2 });
  const { head, lvolid, expectContent } = await detachedVolume(cluster, 3);
  const { id: ssvrid, server } = await serverOfFirstMirror(cluster, lvolid);
  expect((await faultOf(cluster.api("deleteStorageServer", { ssvrid }))).errno).toBe("EBUSY");
  await server.kill();
  await waitUntil("it is deleted", async () => (await cluster.api("deleteStorageServer", { ssvrid })) === 0);
  expect(await cluster.api("listLogicalVolumes", { lvolid })).toMatchObject([{ fault: true }]);
  await expectConsistent(cluster);

  await attach(cluster, lvolid, head);
  await waitUntil(
    "it is whole",
    async () => {
      const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
      return volume?.fault === false;
    },
    240_000,
  );
  const members = membersOf(await cluster.api("showLogicalVolume", { lvolid }));
  expect(members.map(({ lvolspec }) => lvolspec.ssvrid)).not.toContain(ssvrid);
  expect(members).toHaveLength(3);
  await expectContent();
  await expectConsistent(cluster);
});

test("after a shutdown everything is found where it was, as its agents start", async () => {
  const cluster = await useCluster({ storageServers: 3, diskGb: 2 });
  const { head, lvolid, expectContent } = await detachedVolume(cluster, 2);
  const before = await cluster.api("showLogicalVolume", { lvolid });
  expect(await cluster.api("shutdownAll", {})).toBe(0);
  for (const server of [...cluster.storage, ...cluster.heads]) {
    await server.killControl();
    // Those that are not started yet are not taken for lost, whatever the server check and the duties do meanwhile.
    server.up();
    await server.waitUntilAnswers();
  }
  await cluster.waitUntilUsable();
  expect(await cluster.api("showLogicalVolume", { lvolid })).toEqual(before);
  await attach(cluster, lvolid, head);
  await expectContent();
  await expectConsistent(cluster);
});

test("a disk that was reported as failed is refused when its agent starts, which says why, and can be deleted", async () => {
  const cluster = await useCluster({ storageServers: 2, diskGb: 1 });
  const server = cluster.storage[0] as TestServer;
  const [disk] = await cluster.api("listPhysicalDisks", { ssvrid: await cluster.storageServerId(server) });
  const pdskid = disk?.pdskid ?? 0;
  await cluster.api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
  await server.killControl();
  server.up();
  await waitUntil("its agent says why the disk is refused", () =>
    readFileSync(logPath(server.plan), "utf8").includes("was reported as failed; delete it"),
  );
  expect((await cluster.api("listPhysicalDisks", {})).map(({ priority }) => priority).sort()).toEqual([
    Priority.HIGH,
    Priority.FAULTY,
  ]);
  expect(await cluster.api("deletePhysicalDisk", { pdskid })).toBe(0);
  expect(await cluster.api("listPhysicalDisks", {})).toHaveLength(1);
  await expectConsistent(cluster);
});

/** A cluster with data on the disk of one server, which is reported as failed and deleted. */
async function deletedDisk(storage: { readonly force?: boolean } = {}) {
  const cluster = await useCluster({ storageServers: 2, diskGb: 1, storage });
  const server = cluster.storage[0] as TestServer;
  const ssvrid = await cluster.storageServerId(server);
  const [path = ""] = server.plan.disks;
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(MIB, 7), 0, MIB, extentPlace(0, 1).dataStart);
  closeSync(file);
  const [disk] = await cluster.api("listPhysicalDisks", { ssvrid });
  const pdskid = disk?.pdskid ?? 0;
  await cluster.api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
  expect(await cluster.api("deletePhysicalDisk", { pdskid })).toBe(0);
  const expectNew = async (): Promise<void> => {
    await waitUntil("it is registered as a new disk", async () => {
      const [found] = await cluster.api("listPhysicalDisks", { ssvrid });
      return found !== undefined && found.pdskid !== pdskid;
    });
    await cluster.waitUntilUsable();
    const { start, end } = extentPlace(0, 1);
    expect(firstNonZero(path, start, end)).toBeUndefined();
    expect(await answersAt(server)).toBe(true);
    await createOpened(cluster, {
      name: "data",
      gigabytes: 1,
      redundancy: 2,
      head: cluster.heads[0] as TestServer,
    }).then(({ client }) => client.close());
    await expectConsistent(cluster);
  };
  return { cluster, server, path, expectNew };
}

/** Whether the export of a server's first disk can be connected to. */
function answersAt(server: TestServer): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(10_809, server.plan.address);
    socket.on("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.on("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "ECONNREFUSED") resolve(false);
      else reject(error);
    });
  });
}

test("a deleted disk is not exported any more, and is a new disk once it was wiped, its agent running all along", async () => {
  const { cluster, server, path, expectNew } = await deletedDisk();
  await waitUntil("its export is gone", async () => !(await answersAt(server)));
  await waitUntil("its agent says what to do", () =>
    /was deleted from the cluster.*wipe it/.test(readFileSync(logPath(server.plan), "utf8")),
  );
  expect(await cluster.api("listPhysicalDisks", {})).toHaveLength(1);
  truncateSync(path, 0);
  truncateSync(path, diskFileBytes(1));
  await expectNew();
});

test("with force a deleted disk is a new one as it is, and shredded before anyone gets it", async () => {
  const { expectNew } = await deletedDisk({ force: true });
  await expectNew();
});
