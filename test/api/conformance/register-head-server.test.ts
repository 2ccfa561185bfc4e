import { expect, test } from "vitest";
import { FailureTarget } from "../../../shared/states.js";
import type { TestCluster } from "../../harness/cluster.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { waitUntil } from "../../harness/wait-until.js";
import { expectRefusals } from "./refusals.js";
import { testLastServerIds, testServerRegistration } from "./server-registration.js";
import { bound, createSmallAttached, expectBinding, headOf, infoOf, patient, unbound } from "./volumes.js";

const cluster = shareCluster({ storageServers: 2, headServers: 1, manager: patient });
const method = "registerHeadServer";
const heads = testServerRegistration(cluster, { method, target: FailureTarget.HSVR, sequence: "hsvr" });

test("registerHeadServer takes an address that a storage server has", async () => {
  const address = cluster().storage[0]?.plan.address ?? "";
  const hsvrid = await heads.register([address]);
  expect(await heads.find(hsvrid)).toMatchObject({ ip_data: [address] });
});

test("registerHeadServer takes its lists in their bounds only", async () => {
  const ip_data = heads.addresses(1);
  await expectRefusals(cluster(), method, [
    [{ ip_data, running: 1 }, "EINVAL", "running"],
    [{ ip_data, running: [1] }, "EINVAL", "running"],
    [{ ip_data, running: [{ lvolid: 1 }] }, "EINVAL", "epoch"],
    [{ ip_data, running: [{ epoch: 1 }] }, "EINVAL", "lvolid"],
    [{ ip_data, running: [{ lvolid: 0, epoch: 1 }] }, "EINVAL", "lvolid"],
    [{ ip_data, running: [{ lvolid: "1", epoch: 1 }] }, "EINVAL", "lvolid"],
    [{ ip_data, running: [{ lvolid: 1, epoch: -1 }] }, "EINVAL", "epoch"],
    [{ ip_data, as_of: -1 }, "EINVAL", "as_of"],
    [{ ip_data, as_of: "1" }, "EINVAL", "as_of"],
  ]);
  const hsvrid = await cluster().api(method, { ip_data, running: [{ lvolid: 4711, epoch: 1 }], as_of: 0 });
  expect(await heads.find(hsvrid)).toMatchObject({ ip_data });
});

/** The head registers as its agent does, and says what it runs. */
function report(shared: TestCluster, running: { lvolid: number; epoch: number }[], as_of?: number) {
  const { address } = headOf(shared).plan;
  return shared.api(method, { ip_data: [address], boot_id: "boot", running, as_of });
}

test("registerHeadServer leaves a volume bound that the head runs, or that was attached after the list was made", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "kept");
  const { as_of } = await cluster().api("identifyCluster", {});
  await report(cluster(), [{ lvolid, epoch: 1 }], as_of);
  await expectBinding(cluster(), lvolid, bound);
  await report(cluster(), [], as_of - 1);
  await expectBinding(cluster(), lvolid, bound);
  await cluster().api("detachLogicalVolume", { lvolid });
});

test.each([
  ["does not run any more", []],
  ["runs under a past epoch", [0]],
])("registerHeadServer has a volume fenced that the head %s", async (_, epochs) => {
  const lvolname = `fenced-${epochs.length}`;
  const { lvolid } = await createSmallAttached(cluster(), lvolname);
  await report(
    cluster(),
    epochs.map((epoch) => ({ lvolid, epoch })),
  );
  await waitUntil("it is unbound", async () => (await infoOf(cluster(), lvolid)).bind_event === 0);
  await expectBinding(cluster(), lvolid, unbound);
});

testLastServerIds(cluster, heads);
