import { expect, test } from "vitest";
import { faultOf } from "../../harness/fault-of.js";
import { expectConsistent, useCluster } from "../../harness/use-cluster.js";
import { waitUntil } from "../../harness/wait-until.js";
import { bound, createSmallAttached, expectBinding, headOf, patient } from "./volumes.js";

const method = "createSnapshot";

test("createSnapshot answers EHOSTDOWN if the head of its origin is away, and there is none when it is back", async () => {
  const options = { storageServers: 2, diskGb: 8, manager: { ...patient, agent_timeout: 10 } };
  const own = await useCluster(options);
  const origin = await createSmallAttached(own, "data");
  const head = headOf(own);
  await head.killControl();
  const params = { origin_lvolid: origin.lvolid, snapshot_lvolname: "data-s" };
  expect((await faultOf(own.api(method, params))).errno).toBe("EHOSTDOWN");
  // The head may have it, for all that the manager knows, until it can be asked.
  const [, snapshot] = await own.api("listLogicalVolumes", {});
  expect(snapshot).toMatchObject({ lvolname: "data-s", snapshot_status: "CREATING" });
  head.up();
  await waitUntil("it is undone", async () => (await own.api("listLogicalVolumes", {})).length === 1);
  await expectBinding(own, origin.lvolid, bound);
  await own.api(method, params);
  await expectConsistent(own);
});

test("createSnapshot answers ETIMEDOUT if the head does not end within attach_timeout, and there is none then", async () => {
  const own = await useCluster({
    storageServers: 2,
    diskGb: 4,
    gate: true,
    // Less than the 10 s after which the head gives up its own question.
    manager: { ...patient, attach_timeout: 8, agent_timeout: 10 },
  });
  const origin = await createSmallAttached(own, "data");
  const params = { origin_lvolid: origin.lvolid, snapshot_lvolname: "data-s" };
  // The head has agreed, and can't find out what it needs.
  const hold = own.gate.hold({ method: "getSnapshots" });
  const undoing = own.gate.watch({ method: "deleteSnapshot" });
  const refusal = faultOf(own.api(method, params));
  await waitUntil("it is undone", () => undoing.length > 0);
  await hold.release();
  expect((await refusal).errno).toBe("ETIMEDOUT");
  expect(await own.api("listLogicalVolumes", {})).toMatchObject([{ lvolname: "data", ...bound }]);
  await expectConsistent(own);
});
