import { expect, test } from "vitest";
import { managerMethods } from "../../shared/methods/manager-methods.js";
import { MAX_MULTICALL, systemMethods } from "../../shared/methods/system-methods.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";
import type { TestCluster } from "../harness/cluster.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";
import { postCall } from "./post-call.js";

const justManager = (): Promise<TestCluster> => useCluster({ storageServers: 0, headServers: 0 });

async function ask(cluster: TestCluster, method: string, ...params: XmlRpcValue[]): Promise<XmlRpcValue> {
  const response = await postCall(cluster.managerUrl, method, params);
  if (response.kind === "fault") throw new Error(response.fault.faultString);
  return response.value;
}

async function refusal(cluster: TestCluster, method: string, ...params: XmlRpcValue[]) {
  const response = await postCall(cluster.managerUrl, method, params);
  if (response.kind === "value") throw new Error("the call was not refused");
  return { code: response.fault.code, text: response.fault.faultString };
}

test("system.listMethods names every method, those of introspection too", async () => {
  const cluster = await justManager();
  const all = [...Object.keys(managerMethods), ...Object.keys(systemMethods)].sort();
  expect(await ask(cluster, "system.listMethods")).toEqual(all);
  expect(await refusal(cluster, "system.listMethods", 1)).toMatchObject({ code: 22 });
});

test("system.methodHelp and system.methodSignature tell of every method", async () => {
  const cluster = await justManager();
  for (const name of Object.keys(managerMethods)) {
    const help = await ask(cluster, "system.methodHelp", name);
    expect(help, name).toContain("ver  int");
    expect(await ask(cluster, "system.methodSignature", name), name).toEqual([
      [expect.stringMatching(/^(int|struct|array<(struct|string)>)$/), "struct"],
    ]);
  }
  expect(await ask(cluster, "system.methodHelp", "createLogicalVolume")).toContain("ENOSPC (28)");
  expect(await ask(cluster, "system.methodSignature", "system.methodHelp")).toEqual([["string", "string"]]);
  expect(await ask(cluster, "system.methodHelp", "system.multicall")).toContain("faultCode");
});

test("system.methodHelp answers ENOENT for a method that is not there, and EINVAL for what is no name", async () => {
  const cluster = await justManager();
  for (const method of ["system.methodHelp", "system.methodSignature"]) {
    expect(await refusal(cluster, method, "formatDisk")).toMatchObject({
      code: 2,
      text: 'ENOENT: there is no method "formatDisk"',
    });
    expect(await refusal(cluster, method, "constructor")).toMatchObject({ code: 2 });
    for (const wrong of [[], [5], ["a", "b"], [{}]])
      expect(await refusal(cluster, method, ...(wrong as XmlRpcValue[]))).toMatchObject({ code: 22 });
  }
});

test("system.multicall does each call, whatever becomes of the others", async () => {
  const cluster = await justManager();
  const create = (lvolname: string) => ({
    methodName: "createLogicalVolume",
    params: [{ ver: 5, lvolname, capacity: 1 }],
  });
  const answers = await ask(cluster, "system.multicall", [
    { methodName: "listLogicalVolumes", params: [{ ver: 5 }] },
    create("a b"),
    create("data"),
    { methodName: "listLogicalVolumes", params: [] },
    { methodName: "listLogicalVolumes", params: [{ ver: 4 }] },
    { methodName: "nothing", params: [{ ver: 5 }] },
    { methodName: "system.listMethods", params: [] },
    { methodName: "system.multicall", params: [[]] },
  ]);
  expect(answers).toEqual([
    [[]],
    { faultCode: 22, faultString: expect.stringContaining("lvolname") },
    { faultCode: 28, faultString: expect.stringContaining("ENOSPC") },
    { faultCode: 22, faultString: expect.stringContaining("exactly one struct") },
    { faultCode: 71, faultString: expect.stringContaining("ver") },
    { faultCode: 1, faultString: 'method "nothing" is not supported' },
    [expect.arrayContaining(["system.multicall"])],
    { faultCode: 1, faultString: expect.stringContaining("system.multicall") },
  ]);
  expect(await ask(cluster, "system.multicall", [])).toEqual([]);
  await expectConsistent(cluster);
});

test("a system.multicall of a wrong shape is refused as a whole, and says what is wrong", async () => {
  const cluster = await justManager();
  const list = { methodName: "listLogicalVolumes", params: [{ ver: 5 }] };
  const wrong: readonly (readonly [XmlRpcValue, string])[] = [
    [5, "array of structs"],
    [[5], "struct"],
    [[{ methodName: "listLogicalVolumes" }], "params"],
    [[{ methodName: 5, params: [] }], "methodName"],
    [[{ methodName: "listLogicalVolumes", params: {} }], "params"],
    [Array.from({ length: MAX_MULTICALL + 1 }, () => list), String(MAX_MULTICALL)],
  ];
  for (const [calls, text] of wrong) {
    const { code, text: said } = await refusal(cluster, "system.multicall", calls);
    expect(code, text).toBe(22);
    expect(said).toContain(text);
  }
});
