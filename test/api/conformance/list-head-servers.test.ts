import { expect, test } from "vitest";
import { FailureTarget, Priority } from "../../../shared/states.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { testOptionalId, whileResyncRuns } from "./lists.js";
import { MadeUpServers } from "./server-registration.js";
import { headOf, patient } from "./volumes.js";

const cluster = shareCluster({ storageServers: 3, headServers: 1, diskGb: 2, gate: true, manager: patient });
const method = "listHeadServers";
const kind = { method: "registerHeadServer", target: FailureTarget.HSVR, sequence: "hsvr" } as const;
const heads = new MadeUpServers(cluster, kind);
const list = () => cluster().api(method, {});

test("listHeadServers lists every head server by id, with its state and its addresses in their order", async () => {
  const [one = "", two = "", three = ""] = heads.addresses(3);
  const { HIGH, OFFLINE } = Priority;
  const hsvrid = await cluster().headServerId(headOf(cluster()));
  const real = { hsvrid, priority: HIGH, ip_data: [headOf(cluster()).plan.address], resync: 0 };
  expect(await list()).toEqual([real]);
  const first = await heads.register([three]);
  const second = await heads.register([two, one]);
  const third = await heads.register(["2001:db8::1"]);
  const made = [
    { hsvrid: first, priority: HIGH, ip_data: [three], resync: 0 },
    { hsvrid: second, priority: HIGH, ip_data: [two, one], resync: 0 },
    { hsvrid: third, priority: HIGH, ip_data: ["2001:db8::1"], resync: 0 },
  ] as const;
  expect(await list()).toEqual([real, ...made]);
  // One that fails, or is back, stays in its place.
  await heads.fail(first);
  expect(await list()).toEqual([real, { ...made[0], priority: OFFLINE }, made[1], made[2]]);
  await heads.register([three]);
  expect(await list()).toEqual([real, ...made]);
  await heads.fail(second);
  await cluster().api("deleteHeadServer", { hsvrid: second });
  expect(await list()).toEqual([real, made[0], made[2]]);
});

testOptionalId(cluster, { method, member: "hsvrid", what: "head server" });

test("listHeadServers counts a resync on its head server for as long as it runs", async () => {
  const others = (await list()).length - 1;
  await whileResyncRuns(cluster(), async ({ hsvrid }) => {
    expect(await cluster().api(method, { hsvrid })).toMatchObject([{ resync: 1 }]);
    expect((await list()).filter(({ resync }) => resync === 0)).toHaveLength(others);
  });
  expect((await list()).map(({ resync }) => resync)).toEqual(Array(others + 1).fill(0));
});
