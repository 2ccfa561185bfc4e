import { once } from "node:events";
import { createServer as createHttpServer } from "node:http";
import { type AddressInfo, createServer, type Server, type Socket } from "node:net";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import {
  XmlRpcTimeoutError,
  XmlRpcTransportError,
  XmlRpcUnreachableError,
} from "../../shared/xmlrpc/call-errors.js";
import {
  createXmlRpcClient,
  type XmlRpcClient,
  type XmlRpcClientOptions,
} from "../../shared/xmlrpc/client.js";
import { XmlRpcEncodeError } from "../../shared/xmlrpc/encode-error.js";
import { encodeResponse } from "../../shared/xmlrpc/encode-response.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import type { XmlRpcDispatch } from "../../shared/xmlrpc/handle-request.js";
import { echo, startServer } from "./echo-server.js";

const HOST = "127.0.0.1";
/** Of what happens at once, unless the machine is busy. */
const patiently = { timeout: 60_000 };
const repeatable = { repeatable: true };

function clientOf(ports: readonly number[], options: Partial<XmlRpcClientOptions> = {}): XmlRpcClient {
  const addresses = ports.map((port) => ({ host: HOST, port }));
  const client = createXmlRpcClient({
    addresses,
    timeoutMs: 60_000,
    maxResponseBytes: 1_000_000,
    ...options,
  });
  onTestFinished(() => client.close());
  return client;
}

/** A port of loopback on which nothing listens. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, HOST);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

/** A TCP server that treats each connection as the test says; the count is of all connections so far. */
async function startRaw(onConnection: (socket: Socket, count: number) => void): Promise<number> {
  let count = 0;
  const sockets = new Set<Socket>();
  const server: Server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    count += 1;
    onConnection(socket, count);
  });
  server.listen(0, HOST);
  await once(server, "listening");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  return (server.address() as AddressInfo).port;
}

const ANSWER = encodeResponse("an answer");
const HTTP_ANSWER = `HTTP/1.1 200 OK\r\nContent-Length: ${ANSWER.length}\r\n\r\n${ANSWER}`;

/** A dispatch that notes what came, and on which connection. */
function notingDispatch() {
  const calls: string[] = [];
  const dispatch: XmlRpcDispatch = async (method, params, context) => {
    calls.push(method);
    return echo(method, params, context);
  };
  return { dispatch, calls };
}

describe("a call", () => {
  test("sends one struct and returns the answer's value", async () => {
    const { port } = await startServer();
    expect(await clientOf([port]).call("echo", { ver: 5, list: ["é"] })).toEqual({ ver: 5, list: ["é"] });
  });

  test("throws the fault that it is answered with", async () => {
    const { port } = await startServer();
    const call = clientOf([port]).call("nope", {});
    await expect(call).rejects.toBeInstanceOf(XmlRpcFault);
    await expect(call).rejects.toMatchObject({ code: 1, faultString: 'method "nope" is not supported' });
  });

  test("that cannot be encoded sends nothing", async () => {
    const { dispatch, calls } = notingDispatch();
    const { port } = await startServer({ dispatch });
    await expect(clientOf([port]).call("echo", { ver: Number.NaN })).rejects.toBeInstanceOf(
      XmlRpcEncodeError,
    );
    expect(calls).toEqual([]);
  });

  test("may be one of many at once, without a warning", async () => {
    const warned = vi.fn();
    process.on("warning", warned);
    onTestFinished(() => void process.off("warning", warned));
    const { port } = await startServer();
    const client = clientOf([port]);
    const numbers = Array.from({ length: 50 }, (_, number) => number);
    const calls = numbers.map((number) => client.call("version", { ver: number }, repeatable));
    expect(await Promise.all(calls)).toEqual(numbers);
    expect(warned).not.toHaveBeenCalled();
  });
});

describe("several addresses", () => {
  test("are tried in order, and the first that connects gets the call", async () => {
    const { dispatch, calls } = notingDispatch();
    const [first, second] = [await startServer({ dispatch }), await startServer()];
    await clientOf([await closedPort(), first.port, second.port]).call("echo", {});
    expect(calls).toEqual(["echo"]);
  });

  test("that all refuse make the server unreachable, and the error names each", async () => {
    const ports = [await closedPort(), await closedPort()];
    const call = clientOf(ports).call("echo", {});
    await expect(call).rejects.toBeInstanceOf(XmlRpcUnreachableError);
    for (const port of ports) await expect(call).rejects.toThrow(`${HOST}:${port} (connect ECONNREFUSED`);
  });

  test("with a name that does not resolve go on to the next", async () => {
    const { port } = await startServer();
    const addresses = [
      { host: "no-such-host.invalid", port },
      { host: HOST, port },
    ];
    expect(await clientOf([], { addresses }).call("version", { ver: 5 })).toBe(5);
  });

  test("are not tried further once the call was sent, even if the connection then breaks", async () => {
    const { dispatch, calls } = notingDispatch();
    const { port } = await startServer({ dispatch });
    const breaking = await startRaw((socket) => socket.once("data", () => socket.destroy()));
    await expect(clientOf([breaking, port]).call("echo", {}, repeatable)).rejects.toBeInstanceOf(
      XmlRpcTransportError,
    );
    expect(calls).toEqual([]);
  });
});

describe("a deadline", () => {
  test("that passes before the answer is a timeout: the call may have run", async () => {
    const silent = await startRaw(() => undefined);
    const call = clientOf([silent], { timeoutMs: 1_000 }).call("echo", {});
    await expect(call).rejects.toBeInstanceOf(XmlRpcTimeoutError);
    await expect(call).rejects.toThrow(`echo at ${HOST}:${silent} was not answered within 1000 ms.`);
  });

  test("that passes within the answer is a timeout too", async () => {
    const stalling = await startRaw((socket) =>
      socket.once("data", () => socket.write(HTTP_ANSWER.slice(0, -20))),
    );
    const call = clientOf([stalling]).call("echo", {}, { timeoutMs: 1_000 });
    await expect(call).rejects.toBeInstanceOf(XmlRpcTimeoutError);
  });

  test("that passes while connecting leaves the server unreachable: nothing was delivered", async () => {
    // RFC 5737: no host has this address. Where there is no route to it at all, connecting fails at once instead.
    const addresses = [{ host: "192.0.2.1", port: 8881 }];
    const call = clientOf([], { addresses, timeoutMs: 50 }).call("echo", {});
    await expect(call).rejects.toBeInstanceOf(XmlRpcUnreachableError);
  });

  test("is not eaten by one address that does not answer", async () => {
    const { port } = await startServer();
    const addresses = [
      { host: "192.0.2.1", port: 8881 },
      { host: HOST, port },
    ];
    expect(await clientOf([], { addresses, timeoutMs: 4000 }).call("version", { ver: 5 })).toBe(5);
  });
});

describe("a signal", () => {
  test("ends a call with its reason", async () => {
    const controller = new AbortController();
    const silent = await startRaw((socket) =>
      socket.once("data", () => controller.abort(new Error("enough"))),
    );
    const call = clientOf([silent]).call("echo", {}, { signal: controller.signal });
    await expect(call).rejects.toThrow("enough");
  });

  test("that is aborted already lets nothing be sent", async () => {
    const { dispatch, calls } = notingDispatch();
    const { port } = await startServer({ dispatch });
    const signal = AbortSignal.abort(new Error("enough"));
    await expect(clientOf([port]).call("echo", {}, { signal })).rejects.toThrow("enough");
    expect(calls).toEqual([]);
  });
});

describe("a kept connection", () => {
  /** Answers the first call on its first connection, and breaks that connection at the second. */
  function startForgetful(connections: number[]): Promise<number> {
    return startRaw((socket, count) => {
      let calls = 0;
      socket.on("data", () => {
        calls += 1;
        connections.push(count);
        if (count === 1 && calls === 2) socket.resetAndDestroy();
        else socket.write(HTTP_ANSWER);
      });
    });
  }

  test("is used again by a repeatable call", async () => {
    const connections: number[] = [];
    const port = await startRaw((socket, count) => {
      socket.on("data", () => {
        connections.push(count);
        socket.write(HTTP_ANSWER);
      });
    });
    const client = clientOf([port]);
    for (let call = 0; call < 3; call += 1) await client.call("echo", {}, repeatable);
    expect(connections).toEqual([1, 1, 1]);
  });

  test("that breaks before the answer makes a repeatable call go out once more, on a fresh one", async () => {
    const connections: number[] = [];
    const client = clientOf([await startForgetful(connections)]);
    await client.call("echo", {}, repeatable);
    expect(await client.call("echo", {}, repeatable)).toBe("an answer");
    expect(connections).toEqual([1, 1, 2]);
  });

  test("is never used by a call that is not repeatable", async () => {
    const connections: number[] = [];
    const client = clientOf([await startForgetful(connections)]);
    await client.call("echo", {}, repeatable);
    expect(await client.call("echo", {})).toBe("an answer");
    expect(connections).toEqual([1, 2]);
  });

  test("that is fresh and breaks is not replaced: the call may have run", async () => {
    const connections: number[] = [];
    const port = await startRaw((socket, count) => {
      socket.once("data", () => {
        connections.push(count);
        socket.resetAndDestroy();
      });
    });
    await expect(clientOf([port]).call("echo", {}, repeatable)).rejects.toBeInstanceOf(XmlRpcTransportError);
    expect(connections).toEqual([1]);
  });
});

describe("an answer that is none", () => {
  test.each([
    [
      "another status",
      "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
      "was answered with HTTP status 404",
    ],
    ["no XML-RPC", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<a/>", "was not answered in XML-RPC"],
    ["no HTTP", "garbage\r\n\r\n", "its answer was lost"],
    [
      "a switch of protocols",
      "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
      "its answer was lost",
    ],
    [
      "an announced length beyond the limit",
      "HTTP/1.1 200 OK\r\nContent-Length: 1000001\r\n\r\n",
      "larger than 1000000",
    ],
    [
      "chunks beyond the limit",
      `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n${"x".repeat(0xfffff)}`,
      "larger",
    ],
  ])("is a transport error: %s", async (_name, answer, message) => {
    const port = await startRaw((socket) => socket.once("data", () => socket.write(answer)));
    const call = clientOf([port]).call("echo", {});
    await expect(call).rejects.toBeInstanceOf(XmlRpcTransportError);
    await expect(call).rejects.toThrow(message);
  });

  test("is a transport error: a connection that ends within it", async () => {
    const port = await startRaw((socket) => socket.once("data", () => socket.end(HTTP_ANSWER.slice(0, -20))));
    await expect(clientOf([port]).call("echo", {})).rejects.toBeInstanceOf(XmlRpcTransportError);
  });
});

describe("closing", () => {
  test("ends kept connections and fails the calls under way", async () => {
    const sockets: Socket[] = [];
    const port = await startRaw((socket, count) => {
      sockets.push(socket);
      socket.on("data", () => count === 1 && socket.write(HTTP_ANSWER));
    });
    const client = clientOf([port]);
    await client.call("echo", {}, repeatable);
    const call = client.call("echo", {});
    const failed = expect(call).rejects.toBeInstanceOf(XmlRpcTransportError);
    await vi.waitFor(() => expect(sockets[1]?.bytesRead).toBeGreaterThan(0), patiently);
    client.close();
    await failed;
    await vi.waitFor(
      () =>
        expect(sockets.map(({ readableEnded, destroyed }) => readableEnded || destroyed)).toEqual([
          true,
          true,
        ]),
      patiently,
    );
    await expect(client.call("echo", {})).rejects.toThrow("echo was not sent: the client is closed.");
  });

  test("by the server between two calls is not noticed by the next", async () => {
    const http = createHttpServer((request, response) => {
      request.resume().once("end", () => response.end(ANSWER));
    });
    http.listen(0, HOST);
    await once(http, "listening");
    onTestFinished(() => void http.close());
    const client = clientOf([(http.address() as AddressInfo).port]);
    await client.call("echo", {}, repeatable);
    http.closeAllConnections();
    expect(await client.call("echo", {}, repeatable)).toBe("an answer");
  });
});
