import { createRequire } from "node:module";
import { describe, expect, test } from "vitest";
import { startServer } from "./echo-server.js";

/** What we use of the npm package `xmlrpc`, which has no types: the client that other Node programs use. */
interface PackageClient {
  methodCall(method: string, params: unknown[], done: (error: unknown, value: unknown) => void): void;
}
const xmlrpc: { createClient(options: object): PackageClient } = createRequire(import.meta.url)("xmlrpc");

function callerOf(port: number): (method: string, ...params: unknown[]) => Promise<unknown> {
  const client = xmlrpc.createClient({ host: "127.0.0.1", port, path: "/RPC2" });
  return (method, ...params) =>
    new Promise((resolve, reject) => {
      client.methodCall(method, params, (error, value) => {
        if (error === null || error === undefined) resolve(value);
        else reject(error);
      });
    });
}

describe("the client of the npm package xmlrpc", () => {
  test.each<[string, unknown]>([
    ["an int", 2147483647],
    ["a double", 0.5],
    ["a boolean", true],
    ["an empty string", ""],
    ["markup and blanks", " <a>&amp; ]]> é 😀 "],
    ["bytes", Buffer.from([0, 1, 255])],
    ["an empty array", []],
    ["an empty struct", {}],
    ["a nested struct", { ver: 5, list: [1, "two", { three: [3] }] }],
  ])("gets back %s", async (_name, value) => {
    const { port } = await startServer();
    expect(await callerOf(port)("echo", value)).toEqual(value);
  });

  test("gets the code and the text of a fault", async () => {
    const { port } = await startServer();
    const fault = { faultCode: 1, faultString: 'method "nope" is not supported' };
    await expect(callerOf(port)("nope")).rejects.toMatchObject(fault);
  });

  test("gets a fault for what we do not support", async () => {
    const { port } = await startServer();
    await expect(callerOf(port)("echo", null)).rejects.toMatchObject({ faultCode: 1 });
  });

  test("gets a large answer whole", async () => {
    const { port } = await startServer();
    const list = Array.from({ length: 20_000 }, (_, number) => ({ number, name: `volume-${number}` }));
    expect(await callerOf(port)("echo", list)).toEqual(list);
  });
});
