import { statSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { GIB, MIB } from "../../shared/units.js";
import { mirrorsOf, type TestCluster } from "../harness/cluster.js";
import { differenceOf } from "../harness/disk-files.js";
import { randomData } from "../harness/random-data.js";
import type { TestServer } from "../harness/test-server.js";
import { nbdUri, runTool } from "../harness/tools.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { createAttached, serverOfFirstMirror } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const STAT_BLOCK = 512;

/** Bytes that the disk files of the cluster really hold. */
function storedBytes(cluster: TestCluster): number {
  const files = cluster.storage.flatMap(({ plan }) => plan.disks);
  return files.reduce((sum, path) => sum + statSync(path).blocks * STAT_BLOCK, 0);
}

/** Kills a storage server as soon as the disks hold so much more than before. */
async function killWhenStored(cluster: TestCluster, server: TestServer, bytes: number): Promise<void> {
  const before = storedBytes(cluster);
  await waitUntil(`${bytes} bytes are stored`, () => storedBytes(cluster) - before >= bytes, 240_000);
  await server.kill();
}

async function expectEqualMembers(cluster: TestCluster, lvolid: number): Promise<void> {
  for (const mirror of mirrorsOf(await cluster.api("showLogicalVolume", { lvolid }))) {
    expect(await differenceOf(cluster, mirror)).toBeUndefined();
  }
}

test("nbdcopy: 1 GiB goes in while a storage server is killed, and comes out equal after a second one is", async () => {
  const cluster = await useCluster({ storageServers: 5, diskGb: 3 });
  const head = cluster.heads[0] as TestServer;
  const lvolid = await createAttached(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const uri = nbdUri(head.socket("data"));
  const source = join(cluster.folder, "source");
  const copy = join(cluster.folder, "copy");
  const data = randomData("nbdcopy", GIB);
  writeFileSync(source, data);

  const first = await serverOfFirstMirror(cluster, lvolid);
  await Promise.all([
    runTool("nbdcopy", ["--flush", source, uri]),
    // Three copies of half of the data.
    killWhenStored(cluster, first.server, 1.5 * GIB),
  ]);
  await runTool("nbdcopy", [uri, copy]);
  expect((await readFile(copy)).equals(data)).toBe(true);

  await cluster.waitUntilWhole([first.id]);
  await expectEqualMembers(cluster, lvolid);
  await (await serverOfFirstMirror(cluster, lvolid)).server.kill();
  await runTool("nbdcopy", [uri, copy]);
  expect((await readFile(copy)).equals(data)).toBe(true);
  await expectConsistent(cluster);
});

test("fio verifies what it wrote in random order while a storage server was killed", async () => {
  const cluster = await useCluster({ storageServers: 5, diskGb: 3 });
  const head = cluster.heads[0] as TestServer;
  const lvolid = await createAttached(cluster, { name: "data", gigabytes: 1, redundancy: 3, head });
  const { id, server } = await serverOfFirstMirror(cluster, lvolid);
  const job = ["--name=verify", "--ioengine=nbd", `--uri=${nbdUri(head.socket("data"))}`, "--rw=randwrite"];
  const shape = [
    "--bs=64k",
    "--size=256m",
    "--iodepth=16",
    "--verify=crc32c",
    "--do_verify=1",
    "--verify_fatal=1",
    "--verify_state_save=0",
  ];
  await Promise.all([runTool("fio", [...job, ...shape]), killWhenStored(cluster, server, 256 * MIB)]);

  await cluster.waitUntilWhole([id]);
  await expectEqualMembers(cluster, lvolid);
  await expectConsistent(cluster);
});

test("qemu-io: patterns, zeroes and discard read back as they should, also from the second head server", async () => {
  const cluster = await useCluster({ storageServers: 3, headServers: 2 });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const lvolid = await createAttached(cluster, { name: "data", gigabytes: 2, redundancy: 2, head: one });
  const qemu = async (head: TestServer, ...commands: string[]): Promise<void> => {
    const output = await runTool("qemu-io", [
      ...["-f", "raw", nbdUri(head.socket("data"))],
      ...commands.flatMap((command) => ["-c", command]),
    ]);
    expect(output).not.toMatch(/verification failed|error/i);
  };
  // The second range runs over the boundary of two mirrors.
  await qemu(
    one,
    "write -P 17 0 8M",
    "write -P 34 1020M 8M",
    "write -z 2M 1M",
    "discard 4M 1M",
    "write -f -P 51 6M 4k",
    "flush",
  );
  const reads = [
    "read -P 17 0 2M",
    "read -P 0 2M 1M",
    "read -P 17 3M 1M",
    "read -P 0 4M 1M",
    "read -P 51 6M 4k",
    "read -P 34 1020M 8M",
    "read -P 0 1536M 1M",
  ];
  await qemu(one, ...reads);
  await cluster.api("detachLogicalVolume", { lvolid });
  await cluster.api("attachLogicalVolume", { lvolid, hsvrid: await cluster.headServerId(two) });
  await qemu(two, ...reads);
  await expectConsistent(cluster);
});
