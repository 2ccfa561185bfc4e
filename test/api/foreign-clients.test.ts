import { beforeAll, describe, expect, test } from "vitest";
import { XMLRPC_VERSION } from "../../shared/states.js";
import { encodeCall } from "../../shared/xmlrpc/encode-call.js";
import { TestCluster } from "../harness/cluster.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent } from "../harness/use-cluster.js";
import { waitUntil } from "../harness/wait-until.js";
import { comparable, lifeOfVolume, type Setting } from "./foreign/calls.js";
import { type Call, clients } from "./foreign/clients.js";

/** Answers longer than this are packed for those who accept it. */
const PACKED_ABOVE = 1_400;
const MANY_VOLUMES = 12;
/** Strings that a path may hold, and XML, or a bad quotation, would not carry as they are. */
const ODD_PATHS = [
  "/dev/größe-😀",
  "/dev/with \"quotes\" and 'quotes' and `quotes`",
  "/dev/<value>&amp;</value>]]>",
  "/dev/two\nlines\tand a tab",
  "  /dev/blanks around  ",
  "/dev/100%s\\n; DROP TABLE disk",
];

let cluster: TestCluster;
let setting: Setting;
/** What our client was answered, which the others must be answered as well. */
let expected: unknown[];

async function settle(): Promise<void> {
  await waitUntil("all is clean again", async () => {
    const { jobs, capacity } = await cluster.status();
    return jobs.length === 0 && capacity.unshredded === 0;
  });
}

const make = async (client: string, calls: readonly Call[]) =>
  (await clients[client]?.(cluster, calls)) ?? [];

async function live(client: string): Promise<unknown[]> {
  const calls = lifeOfVolume(setting);
  const outcomes = await make(client, calls);
  await settle();
  return comparable(outcomes, calls);
}

beforeAll(async () => {
  cluster = await TestCluster.create({
    storageServers: 2,
    headServers: 2,
    diskGb: 24,
    manager: { agent_timeout: 30 },
  });
  await cluster.start();
  const [head, other] = cluster.heads as [TestServer, TestServer];
  const failedHead = await cluster.headServerId(other);
  await cluster.api("notifyFailure", { target: 1, targetid: failedHead });
  for (let n = 0; n < MANY_VOLUMES; n += 1) {
    await cluster.api("createLogicalVolume", { lvolname: `standing-${n}`, capacity: 1, redundancy: 2 });
  }
  setting = {
    hsvrid: await cluster.headServerId(head),
    failedHead,
    headAddress: head.plan.address,
    ssvrid: await cluster.api("registerStorageServer", { ip_data: ["127.255.255.1"] }),
  };
  await waitUntil("the storage server that is not there is known to be silent", async () => {
    const { storage_servers } = await cluster.status();
    return storage_servers.up === cluster.storage.length;
  });
  expected = await live("our client");
  return () => cluster.destroy();
});

describe.each(Object.keys(clients))("%s", (client) => {
  test("is answered each call of a volume's life as every other client is", async () => {
    expect(await live(client)).toEqual(expected);
    await expectConsistent(cluster);
  });

  test("reads a large list whole, as every other client does", async () => {
    const calls: Call[] = [
      ["listLogicalVolumes", {}],
      ["listStorageServers", {}],
    ];
    const [volumes, servers] = await make(client, calls);
    expect(volumes).toEqual({ value: await cluster.api("listLogicalVolumes", {}) });
    expect(servers).toEqual({ value: await cluster.api("listStorageServers", {}) });
  });
});

test("a large answer is packed for who accepts gzip, and only then", async () => {
  const body = encodeCall("listLogicalVolumes", [{ ver: XMLRPC_VERSION }]);
  const post = (accepted: string): Promise<Response> =>
    fetch(cluster.managerUrl, { method: "POST", body, headers: { "accept-encoding": accepted } });
  const [plain, packed] = [await post("identity"), await post("gzip")];
  expect(plain.headers.get("content-encoding")).toBeNull();
  expect(packed.headers.get("content-encoding")).toBe("gzip");
  const xml = await plain.text();
  expect(xml.length).toBeGreaterThan(PACKED_ABOVE);
  // fetch has unpacked it.
  expect(await packed.text()).toBe(xml);
});

// Last, since nobody will ever shred these disks.
test.each(Object.keys(clients))("%s gets back each path of a disk as it gave it", async (client) => {
  const { ssvrid } = setting;
  const paths = ODD_PATHS.map((path) => `${path} of ${client}`);
  const calls = paths.map(
    (local_path): Call => ["registerPhysicalDisk", { ssvrid, local_path, capacity: "16777216" }],
  );
  const [listed, ...registered] = (
    await make(client, [...calls, ["listPhysicalDisks", { ssvrid }]])
  ).reverse();
  expect(registered).toEqual(paths.map(() => ({ value: expect.any(Number) })));
  const disks = (listed as { value: { local_path: string }[] }).value;
  expect(disks.map(({ local_path }) => local_path)).toEqual(expect.arrayContaining(paths));
});
