import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { waitUntil } from "../../harness/wait-until.js";
import { testEvacuation } from "./evacuations.js";
import { registerMadeUpDisk } from "./made-up-disks.js";
import { MadeUpServers } from "./server-registration.js";
import { patient } from "./volumes.js";

const cluster = shareCluster({ storageServers: 2, diskGb: 1, gate: true, manager: patient });
const method = "evacuateStorageServer";
const kind = { method: "registerStorageServer", target: FailureTarget.SSVR, sequence: "ssvr" } as const;
const servers = new MadeUpServers(cluster, kind);
const make = (): Promise<number> => servers.register(servers.addresses(1));

async function priorityOf(ssvrid: number): Promise<number | undefined> {
  return (await cluster().api("listStorageServers", { ssvrid }))[0]?.priority;
}

testEvacuation(cluster, {
  method,
  member: "ssvrid",
  what: "storage server",
  remove: "deleteStorageServer",
  make: async () => {
    const ssvrid = await make();
    await registerMadeUpDisk(cluster(), ssvrid, { local_path: "/dev/made-up" });
    return ssvrid;
  },
  priorityOf,
});

test(`${method} empties a server without disks at once: it can be deleted`, async () => {
  const ssvrid = await make();
  await cluster().api(method, { ssvrid });
  await waitUntil("that it is empty is told", async () =>
    (await cluster().api("listEvents", {})).some(
      ({ target, targetid, sentence }) =>
        target === FailureTarget.SSVR &&
        targetid === ssvrid &&
        sentence.includes("is empty: it can be deleted"),
    ),
  );
  expect(await cluster().api("deleteStorageServer", { ssvrid })).toBe(0);
});

test(`${method} takes a server that was reported as failed: it comes back as EVACUATE`, async () => {
  const ip_data = servers.addresses(1);
  const ssvrid = await servers.register(ip_data);
  await servers.fail(ssvrid);
  await cluster().api(method, { ssvrid });
  expect(await priorityOf(ssvrid)).toBe(Priority.OFFLINE);
  expect(await servers.register(ip_data)).toBe(ssvrid);
  expect(await priorityOf(ssvrid)).toBe(Priority.EVACUATE);
});
