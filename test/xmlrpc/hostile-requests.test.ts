import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createXmlRpcClient, type XmlRpcClient } from "../../shared/xmlrpc/client.js";
import { createXmlRpcServer } from "../../shared/xmlrpc/server.js";
import { echo, GOOD_REQUEST } from "./echo-server.js";
import { type HostileRequest, readHostileRequests, toBytes } from "./hostile-request.js";
import { RawConnection } from "./raw-connection.js";

const server = createXmlRpcServer({
  dispatch: echo,
  maxBodyBytes: 4_000_000,
  maxConnections: 500,
  headersTimeoutMs: 300,
  requestTimeoutMs: 600,
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

async function expectFault(connection: RawConnection, code: string): Promise<void> {
  await connection.until("a fault", ({ received }) => received.includes("</methodResponse>"));
  expect(connection.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(connection.received).toContain(`<name>faultCode</name><value><int>${code}</int>`);
  connection.send(GOOD_REQUEST);
  await connection.until("an answer after the fault", ({ received }) => received.includes("still here"));
}

async function expectStatus(connection: RawConnection, status: string): Promise<void> {
  await connection.until(`status ${status}`, ({ received }) => received.includes(`HTTP/1.1 ${status} `));
}

async function expectOutcome(connection: RawConnection, { expect: outcome }: HostileRequest): Promise<void> {
  const [kind, code = ""] = outcome.split(" ");
  if (kind === "fault") return expectFault(connection, code);
  if (kind === "answer") {
    return connection.until("an answer", ({ received }) => received.includes("<methodResponse><params>"));
  }
  if (kind === "closed" || kind === "reset") return connection.until("the end", ({ closed }) => closed);
  return expectStatus(connection, outcome);
}

describe("after each hostile request the server answers the next good call:", () => {
  const requests = readHostileRequests();

  test.each(requests.map((request) => [request.name, request] as const))("%s", async (_name, request) => {
    const bytes = toBytes(request);
    const connection = await RawConnection.open(port);
    connection.send(bytes);
    if (request.then === "end") connection.end();
    if (request.then === "reset") connection.reset();
    await expectOutcome(connection, request);
    connection.reset();
    expect(await client.call("version", { ver: 5 })).toBe(5);
  });
});
