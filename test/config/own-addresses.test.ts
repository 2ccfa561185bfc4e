import { expect, test } from "vitest";
import { dataAddresses, managerAddress } from "../../shared/own-addresses.js";
import { resolveName } from "../../shared/resolve-name.js";

const names = new Map([
  ["manager", "10.0.0.1"],
  ["one-data1", "10.1.0.1"],
  ["one-data2", "10.2.0.1"],
  ["two-data1", "10.1.0.2"],
  ["two-data2", "10.1.0.2"],
]);
const resolve = async (name: string): Promise<string | undefined> => names.get(name);

test("the manager listens at the address among those it is looked for at that is this machine's", async () => {
  const own = new Set(["127.0.0.1", "10.0.0.1", "10.9.9.9"]);
  expect(await managerAddress(["10.0.0.2", "10.0.0.1"], own, resolve)).toBe("10.0.0.1");
  expect(await managerAddress(["nobody", "manager"], own, resolve)).toBe("10.0.0.1");
  expect(await managerAddress(["10.0.0.2"], own, resolve)).toBe("127.0.0.1");
  expect(await managerAddress(["127.0.0.5"], own, resolve)).toBe("127.0.0.5");
});

test("an agent listens at what its machine's data names stand for, once at an address that both do", async () => {
  expect(await dataAddresses([], "one", resolve)).toEqual(["10.1.0.1", "10.2.0.1"]);
  expect(await dataAddresses([], "two", resolve)).toEqual(["10.1.0.2"]);
  expect(await dataAddresses([], "three", resolve)).toEqual(["127.0.0.1"]);
  expect(await dataAddresses(["10.3.0.1"], "one", resolve)).toEqual(["10.3.0.1"]);
});

test("a name is resolved as the system does it, and one that stands for nothing is no failure", async () => {
  expect(["127.0.0.1", "::1"]).toContain(await resolveName("localhost"));
  expect(await resolveName("no-such-name.invalid")).toBeUndefined();
});
