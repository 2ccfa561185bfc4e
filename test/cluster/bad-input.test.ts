import { expect, test } from "vitest";
import { managerMethods } from "../../shared/methods/manager-methods.js";
import { XMLRPC_VERSION } from "../../shared/states.js";
import { encodeCall } from "../../shared/xmlrpc/encode-call.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";
import type { TestCluster } from "../harness/cluster.js";
import { faultOf } from "../harness/fault-of.js";
import { shownState } from "../harness/shown-state.js";
import type { TestServer } from "../harness/test-server.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { badCalls, type Known, withoutParameters } from "./bad-input-rows.js";

const methodNames = Object.keys(managerMethods);

async function knownCluster(): Promise<{ cluster: TestCluster; known: Known }> {
  const cluster = await useCluster({ storageServers: 2 });
  const [head, storage] = [cluster.heads[0], cluster.storage[0]] as [TestServer, TestServer];
  const lvolname = "known";
  const known = {
    hsvrid: await cluster.headServerId(head),
    ssvrid: await cluster.storageServerId(storage),
    headAddress: head.plan.address,
    storageAddress: storage.plan.address,
    lvolid: await cluster.api("createLogicalVolume", { lvolname, capacity: 1, redundancy: 2 }),
    lvolname,
  };
  return { cluster, known };
}

test("a wrong parameter gets its errno and a sentence that names it, and changes nothing", async () => {
  const { cluster, known } = await knownCluster();
  const before = await shownState(cluster);
  const calls = badCalls(known);
  expect([...new Set(calls.map(({ method }) => method)), ...withoutParameters].sort()).toEqual(
    [...methodNames].sort(),
  );

  for (const { method, params, errno, names } of calls) {
    const call = `${method} ${JSON.stringify(params)}`;
    const fault = await faultOf(cluster.raw(method, { ver: XMLRPC_VERSION, ...params }));
    expect.soft(fault.errno, `${call}: ${fault.sentence}`).toBe(errno);
    expect.soft(fault.sentence, call).toMatch(new RegExp(`^${errno}: `));
    expect.soft(fault.sentence, call).toContain(names);
  }
  expect(await shownState(cluster)).toEqual(before);
  await expectConsistent(cluster);
});

test("every method refuses a wrong ver, before it looks at anything else", async () => {
  const { cluster } = await knownCluster();
  for (const method of methodNames) {
    for (const members of [{}, { ver: "5" }, { ver: true }, { ver: 6 }]) {
      const call = `${method} ${JSON.stringify(members)}`;
      expect.soft((await faultOf(cluster.raw(method, members))).errno, call).toBe("EPROTO");
    }
  }
  await expectConsistent(cluster);
});

test("a method takes exactly one struct", async () => {
  const { cluster } = await knownCluster();
  const wrong: XmlRpcValue[][] = [[], [{ ver: 5 }, { ver: 5 }], [5], [[{ ver: 5 }]]];
  for (const params of wrong) {
    const answer = await fetch(cluster.managerUrl, {
      method: "POST",
      headers: { "content-type": "text/xml" },
      body: encodeCall("listLogicalVolumes", params),
    });
    const text = await answer.text();
    expect.soft(text, JSON.stringify(params)).toContain("<fault>");
    expect.soft(text, JSON.stringify(params)).toContain("EINVAL");
  }
  await expectConsistent(cluster);
});
