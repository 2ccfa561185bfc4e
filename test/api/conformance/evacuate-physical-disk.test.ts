import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { testEvacuation } from "./evacuations.js";
import { registerMadeUpDisk } from "./made-up-disks.js";
import { expectRefused } from "./refusals.js";
import { MadeUpServers } from "./server-registration.js";
import { patient } from "./volumes.js";

const cluster = shareCluster({ storageServers: 2, diskGb: 1, gate: true, manager: patient });
const method = "evacuatePhysicalDisk";
const kind = { method: "registerStorageServer", target: FailureTarget.SSVR, sequence: "ssvr" } as const;
const servers = new MadeUpServers(cluster, kind);
let disksMade = 0;

/** A disk of a server of its own, nothing of which is shredded. */
async function make(): Promise<number> {
  const ssvrid = await servers.register(servers.addresses(1));
  return registerMadeUpDisk(cluster(), ssvrid, { local_path: `/dev/made-up-${disksMade++}` });
}

async function priorityOf(pdskid: number): Promise<number | undefined> {
  const disks = await cluster().api("listPhysicalDisks", {});
  return disks.find((disk) => disk.pdskid === pdskid)?.priority;
}

testEvacuation(cluster, {
  method,
  member: "pdskid",
  what: "disk",
  remove: "deletePhysicalDisk",
  make,
  priorityOf,
});

test(`${method} answers EBUSY for a disk that is FAULTY, and 0 if it is cancelled`, async () => {
  const pdskid = await make();
  await cluster().api("notifyFailure", { target: FailureTarget.PDSK, targetid: pdskid });
  await expectRefused(cluster(), method, { pdskid }, "EBUSY");
  expect(await cluster().api(method, { pdskid, cancel: true })).toBe(0);
  expect(await priorityOf(pdskid)).toBe(Priority.FAULTY);
});

test(`${method} leaves a disk with bad blocks LOW when it is cancelled`, async () => {
  const pdskid = await make();
  await cluster().api(method, { pdskid });
  await cluster().api("notifyBadBlocks", { pdskid, blocks: [0] });
  expect(await priorityOf(pdskid)).toBe(Priority.EVACUATE);
  await cluster().api(method, { pdskid, cancel: true });
  expect(await priorityOf(pdskid)).toBe(Priority.LOW);
});

test("deletePhysicalDisk answers EBUSY while anything is left on a disk that is evacuated, unshredded space as well", async () => {
  const pdskid = await make();
  await cluster().api(method, { pdskid });
  await expectRefused(cluster(), "deletePhysicalDisk", { pdskid }, "EBUSY");
});
