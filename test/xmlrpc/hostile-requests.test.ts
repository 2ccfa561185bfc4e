import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createXmlRpcClient, type XmlRpcClient } from "../../shared/xmlrpc/client.js";
import { createXmlRpcServer } from "../../shared/xmlrpc/server.js";
import { echo, GOOD_REQUEST } from "./echo-server.js";
import { sendHostile } from "./hostile-outcome.js";
import { readHostileRequests } from "./hostile-request.js";

const server = createXmlRpcServer({
  dispatch: echo,
  maxBodyBytes: 4_000_000,
  maxHeldBytes: 64_000_000,
  maxConnections: 500,
  headersTimeoutMs: 2_000,
  requestTimeoutMs: 4_000,
  keepAliveTimeoutMs: 60_000,
  onDefect: () => undefined,
});
let port: number;
let client: XmlRpcClient;

beforeAll(async () => {
  ({ port } = await server.listen("127.0.0.1", 0));
  client = createXmlRpcClient({
    addresses: [{ host: "127.0.0.1", port }],
    timeoutMs: 60_000,
    maxResponseBytes: 1e6,
  });
});

afterAll(async () => {
  client.close();
  await server.close(0);
});

describe("after each hostile request the server answers the next good call:", () => {
  const requests = readHostileRequests();

  test.each(requests.map((request) => [request.name, request] as const))("%s", async (_name, request) => {
    await sendHostile({ host: "127.0.0.1", port, good: GOOD_REQUEST, answer: "still here" }, request);
    expect(await client.call("version", { ver: 5 })).toBe(5);
  });
});
