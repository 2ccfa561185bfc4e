import { expect, test } from "vitest";
import { FailureTarget } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { testCopyDeletion } from "./deleted-copies.js";
import { testDeletion } from "./deletions.js";
import { registerMadeUpDisk } from "./made-up-disks.js";
import { MadeUpServers } from "./server-registration.js";
import { patient } from "./volumes.js";

const cluster = shareCluster({ storageServers: 4, diskGb: 2, gate: true, manager: patient });
const method = "deletePhysicalDisk";
const kind = { method: "registerStorageServer", target: FailureTarget.SSVR, sequence: "ssvr" } as const;
const servers = new MadeUpServers(cluster, kind);
const ids = async (): Promise<number[]> =>
  (await cluster().api("listPhysicalDisks", {})).map(({ pdskid }) => pdskid);
let disksMade = 0;

/** A disk of a server of its own. */
async function make(): Promise<number> {
  const ssvrid = await servers.register(servers.addresses(1));
  return registerMadeUpDisk(cluster(), ssvrid, { local_path: `/dev/made-up-${disksMade++}` });
}

testDeletion(cluster, {
  method,
  member: "pdskid",
  target: FailureTarget.PDSK,
  table: "disk",
  what: "disk",
  make,
  ids,
});

test("deletePhysicalDisk makes room for a disk at the same path, which is a new one", async () => {
  const ssvrid = await servers.register(servers.addresses(1));
  const disk = { local_path: "/dev/again", gigabytes: 4 };
  const pdskid = await registerMadeUpDisk(cluster(), ssvrid, disk);
  await cluster().api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
  const { capacity: before } = await cluster().status();
  expect(await cluster().api(method, { pdskid })).toBe(0);
  const { capacity: after } = await cluster().status();
  expect(after.total).toBe(before.total - 4);
  expect(await registerMadeUpDisk(cluster(), ssvrid, disk)).toBeGreaterThan(pdskid);
  expect(await cluster().api("listPhysicalDisks", { ssvrid })).toMatchObject([{ unshredded: 4 }]);
});

testCopyDeletion(cluster, { method, target: FailureTarget.PDSK, member: "pdskid" });
