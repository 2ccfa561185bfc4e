import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { editDatabase } from "../../harness/manager-database.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { waitUntil } from "../../harness/wait-until.js";
import { testDeletion } from "./deletions.js";
import { expectRefusals } from "./refusals.js";
import { MadeUpServers } from "./server-registration.js";
import { bound, createSmallAttached, expectBinding, headOf, patient, unbound } from "./volumes.js";

const cluster = shareCluster({ storageServers: 2, headServers: 1, gate: true, manager: patient });
const method = "deleteHeadServer";
const kind = { method: "registerHeadServer", target: FailureTarget.HSVR, sequence: "hsvr" } as const;
const heads = new MadeUpServers(cluster, kind);

testDeletion(cluster, {
  method,
  member: "hsvrid",
  target: FailureTarget.HSVR,
  table: "head_server",
  what: "head server",
  make: () => heads.register(heads.addresses(1)),
  ids: async () => (await cluster().api("listHeadServers", {})).map(({ hsvrid }) => hsvrid),
});

test("deleteHeadServer leaves the addresses free, for a head server that is new", async () => {
  const ip_data = heads.addresses(2);
  const hsvrid = await heads.register(ip_data);
  await heads.fail(hsvrid);
  expect(await cluster().api(method, { hsvrid })).toBe(0);
  expect(await heads.register(ip_data.slice(1))).toBeGreaterThan(hsvrid);
});

test("deleteHeadServer answers EBUSY while a volume is bound to it, and while one is being fenced", async () => {
  const hsvrid = await cluster().headServerId(headOf(cluster()));
  const { lvolid, lvolname } = await createSmallAttached(cluster(), "bound");
  // It fell silent: that takes no volume from it.
  await editDatabase(cluster(), (database) =>
    database
      .prepare("UPDATE head_server SET priority = ?, silent = 1 WHERE hsvrid = ?")
      .run(Priority.OFFLINE, hsvrid),
  );
  await expectRefusals(cluster(), method, [[{ hsvrid }, "EBUSY", lvolname]]);
  await expectBinding(cluster(), lvolid, { ...bound, hsvrid });

  const hold = cluster().gate.hold({ method: "revokeEpoch" });
  await heads.fail(hsvrid);
  await waitUntil("the fence is on its way", () => hold.messages.length > 0);
  await expectRefusals(cluster(), method, [[{ hsvrid }, "EBUSY", "fenced"]]);
  await hold.release();
  // One that goes on would register as a new one.
  await headOf(cluster()).kill();
  await waitUntil("the volume is fenced", async () => (await cluster().api(method, { hsvrid })) === 0);
  await expectBinding(cluster(), lvolid, unbound);
});
