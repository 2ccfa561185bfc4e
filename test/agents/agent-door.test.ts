import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { z } from "zod";
import { createAgentDoor } from "../../agents/common/agent-door.js";
import { Identity } from "../../agents/common/identity.js";
import { VasError } from "../../shared/errors.js";
import { method } from "../../shared/methods/method.js";
import { wireId } from "../../shared/wire-types.js";
import { createXmlRpcClient } from "../../shared/xmlrpc/client.js";
import type { XmlRpcStruct } from "../../shared/xmlrpc/value.js";
import { tempFolder } from "./temp-folder.js";

const row = { result: z.number(), errors: {}, help: "" } as const;
const methods = {
  helloWorld: method({ params: z.object({}), ...row }),
  double: method({ params: z.object({ value: wireId }), ...row }),
  refuse: method({ params: z.object({}), ...row }),
  fail: method({ params: z.object({}), ...row }),
};

async function openDoor(identityFile = join(tempFolder(), "identity.json")) {
  const handlers = {
    helloWorld: async () => 0,
    double: async ({ value }: { value: number }) => value * 2,
    refuse: async () => {
      throw new VasError("ESTALE", "that is past");
    },
    fail: async () => {
      throw new TypeError("secret detail");
    },
  };
  const defects: string[] = [];
  const log = pino({ level: "error" }, { write: (line) => void defects.push(line) });
  const door = createAgentDoor({ methods, handlers, identity: await Identity.load(identityFile), log });
  const [address] = await door.listen(["127.0.0.1"], 0);
  if (address === undefined) throw new Error("no address");
  const client = createXmlRpcClient({ addresses: [address], timeoutMs: 60_000, maxResponseBytes: 1 << 20 });
  onTestFinished(async () => {
    client.close();
    await door.close(0);
  });
  return { call: (name: string, params: XmlRpcStruct) => client.call(name, params), defects };
}

test("a call is parsed, handled and answered", async () => {
  const { call } = await openDoor();
  expect(await call("double", { ver: 5, value: 21, unknown: "ignored" })).toBe(42);
});

test("the version is checked before all else, except of helloWorld", async () => {
  const { call } = await openDoor();
  for (const ver of [undefined, 4, "5", true, 5.5]) {
    await expect(call("double", { ver, value: "wrong too" })).rejects.toMatchObject({ code: 71 });
  }
  expect(await call("helloWorld", {})).toBe(0);
});

test("a wrong parameter is named, and a method that is not there is fault 1", async () => {
  const { call } = await openDoor();
  await expect(call("double", { ver: 5, value: "21" })).rejects.toMatchObject({
    code: 22,
    faultString: "EINVAL: value must be an int",
  });
  await expect(call("nothing", { ver: 5 })).rejects.toMatchObject({ code: 1 });
  await expect(call("toString", { ver: 5 })).rejects.toMatchObject({ code: 1 });
});

test("an error of ours travels with its sentence; a defect is 500, tells nothing, and is logged with its cause", async () => {
  const { call, defects } = await openDoor();
  await expect(call("refuse", { ver: 5 })).rejects.toMatchObject({
    code: 116,
    faultString: "ESTALE: that is past",
  });
  const fault = await call("fail", { ver: 5 }).catch((error: unknown) => error);
  expect(fault).toMatchObject({ code: 500 });
  expect(String(fault)).not.toContain("secret");
  expect(defects.join()).toContain("secret detail");
});

test("another cluster, or an older manager, is refused, also after a restart", async () => {
  const file = join(tempFolder(), "identity.json");
  const { call } = await openDoor(file);
  const us = { ver: 5, value: 1, cluster: "ours" };
  expect(await call("double", { ...us, serial: 7 })).toBe(2);
  for (const door of [{ call }, await openDoor(file)]) {
    await expect(door.call("double", { ...us, cluster: "theirs", serial: 9 })).rejects.toThrow(
      /EPERM: .*ours/,
    );
    await expect(door.call("double", { ...us, serial: 6 })).rejects.toThrow(/EPERM: .*older/);
    expect(await door.call("double", { ...us, serial: 7 })).toBe(2);
  }
  expect(await call("double", { ...us, serial: 8 })).toBe(2);
  await expect(call("double", { ...us, serial: 7 })).rejects.toThrow(/EPERM: .*older/);
});
