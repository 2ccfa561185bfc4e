import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gunzipSync, gzipSync } from "node:zlib";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { decodeCallInSlices } from "../../shared/xmlrpc/decode-call.js";
import { decodeResponse } from "../../shared/xmlrpc/decode-response.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import type { XmlRpcDispatch } from "../../shared/xmlrpc/handle-request.js";
import { ListenError } from "../../shared/xmlrpc/listen-error.js";
import { createXmlRpcServer } from "../../shared/xmlrpc/server.js";
import { echo, GOOD_BODY, GOOD_REQUEST, startServer } from "./echo-server.js";
import { RawConnection } from "./raw-connection.js";

/** Of what happens at once, unless the machine is busy. */
const patiently = { timeout: 60_000 };

function callOf(value: string): string {
  return GOOD_BODY.replace("still here", value);
}

/** Posts with Node's own fetch, which unpacks nothing when asked for identity. */
async function postTo(
  port: number,
  body: string | Uint8Array,
  headers: Record<string, string> = {},
): Promise<Response> {
  return fetch(`http://127.0.0.1:${port}/RPC2`, { method: "POST", body: Buffer.from(body), headers });
}

/** A dispatch whose calls end when the test says so. */
function heldDispatch() {
  const releases: (() => void)[] = [];
  const signals: AbortSignal[] = [];
  const dispatch: XmlRpcDispatch = (_method, _params, { signal }) => {
    signals.push(signal);
    return new Promise((resolve) => releases.push(() => resolve("released")));
  };
  return { dispatch, releases, signals };
}

describe("a call", () => {
  test("is dispatched with its method, its parameters and the caller's address", async () => {
    const dispatch = vi.fn(echo);
    const { port } = await startServer({ dispatch });
    await postTo(port, GOOD_BODY);
    expect(dispatch).toHaveBeenCalledWith(
      "echo",
      ["still here"],
      expect.objectContaining({ remoteAddress: "127.0.0.1" }),
    );
  });

  test("that throws a fault is answered with it", async () => {
    const dispatch = () => Promise.reject(new XmlRpcFault(28, "ENOSPC: no room for <3> copies"));
    const { port } = await startServer({ dispatch });
    const response = decodeResponse(Buffer.from(await (await postTo(port, GOOD_BODY)).arrayBuffer()));
    expect(response).toMatchObject({ fault: { code: 28, faultString: "ENOSPC: no room for <3> copies" } });
  });

  test.each<[string, XmlRpcDispatch]>([
    ["rejects", () => Promise.reject(new TypeError("secret"))],
    [
      "throws before its promise",
      () => {
        throw new TypeError("secret");
      },
    ],
    ["answers what cannot be carried", () => Promise.resolve(Number.NaN)],
  ])(
    "whose dispatch %s is a defect: reported, and answered with 500 and no more",
    async (_name, dispatch) => {
      const onDefect = vi.fn();
      const { port } = await startServer({ dispatch, onDefect });
      const answer = await (await postTo(port, GOOD_BODY)).text();
      expect(answer).toContain("<int>500</int>");
      expect(answer).toContain("<string>Internal Server Error</string>");
      expect(answer).not.toContain("secret");
      expect(onDefect).toHaveBeenCalledExactlyOnceWith(expect.any(Error), "echo");
    },
  );

  test("may be posted to / as well as to /RPC2", async () => {
    const { port } = await startServer();
    const connection = await RawConnection.open(port);
    connection.send(GOOD_REQUEST.replace("/RPC2", "/"));
    await connection.until("an answer", ({ received }) => received.includes("still here"));
  });

  test("learns by its signal that the client has left", async () => {
    const { dispatch, signals } = heldDispatch();
    const { port } = await startServer({ dispatch });
    const connection = await RawConnection.open(port);
    connection.send(GOOD_REQUEST);
    await vi.waitFor(() => expect(signals).toHaveLength(1), patiently);
    connection.reset();
    await vi.waitFor(() => expect(signals[0]?.aborted).toBe(true), patiently);
  });

  test("is answered although the client has ended its side while it ran", async () => {
    const { dispatch, releases, signals } = heldDispatch();
    const { port } = await startServer({ dispatch });
    const connection = await RawConnection.open(port);
    connection.send(GOOD_REQUEST);
    connection.end();
    await vi.waitFor(() => expect(releases).toHaveLength(1), patiently);
    // A call of its own shows that the server has seen the end of ours.
    expect((await postTo(port, "<")).status).toBe(200);
    releases[0]?.();
    await connection.until("the end", ({ closed }) => closed);
    expect(connection.received).toContain("released");
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  });

  test("with a fault of any length is answered with its beginning", async () => {
    const dispatch = () => Promise.reject(new XmlRpcFault(2, `no ${"x".repeat(1e6)}`));
    const { port } = await startServer({ dispatch });
    const answer = await (await postTo(port, GOOD_BODY)).text();
    expect(answer).toContain("<string>no xxx");
    expect(answer.length).toBeLessThan(2_000);
  });

  test("with a large body lets others have their turn while it is read", async () => {
    const body = Buffer.from(callOf(`<array><data>${"<value/>".repeat(130_000)}</data></array>`));
    const reading = decodeCallInSlices(body, 64);
    let turns = 0;
    const count = (): void => {
      turns += 1;
      next = setImmediate(count);
    };
    let next = setImmediate(count);
    await reading;
    clearImmediate(next);
    expect(turns).toBeGreaterThan(10);
  });

  test("that was answered leaves its signal alone", async () => {
    const signals: AbortSignal[] = [];
    const dispatch: XmlRpcDispatch = async (_method, _params, { signal }) => signals.push(signal);
    const { port } = await startServer({ dispatch });
    const connection = await RawConnection.open(port);
    connection.send(GOOD_REQUEST);
    await connection.until("an answer", ({ received }) => received.includes("</methodResponse>"));
    connection.end();
    await connection.until("the end", ({ closed }) => closed);
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  });
});

describe("a connection", () => {
  test("carries one call after another", async () => {
    const { port } = await startServer();
    const connection = await RawConnection.open(port);
    for (const answers of [1, 2, 3]) {
      connection.send(GOOD_REQUEST);
      await connection.until("an answer", ({ received }) => received.split("still here").length > answers);
    }
    expect(connection.closed).toBe(false);
  });

  test("of an HTTP/1.0 client ends with the answer, which has a length and no chunks", async () => {
    const { port } = await startServer();
    const connection = await RawConnection.open(port);
    connection.send(`POST /RPC2 HTTP/1.0\r\nContent-Length: ${GOOD_BODY.length}\r\n\r\n${GOOD_BODY}`);
    await connection.until("the end", ({ closed }) => closed);
    expect(connection.received).toContain("still here");
    expect(connection.received).toMatch(/\r\nContent-Length: \d+\r\n/);
    expect(connection.received).not.toContain("chunked");
  });

  test("of an HTTP/1.0 client that asks for keep-alive stays open", async () => {
    const { port } = await startServer();
    const connection = await RawConnection.open(port);
    const request = GOOD_REQUEST.replace("HTTP/1.1", "HTTP/1.0").replace("Host: x", "Connection: keep-alive");
    connection.send(request);
    await connection.until("an answer", ({ received }) => received.includes("still here"));
    connection.send(request);
    await connection.until("another", ({ received }) => received.split("still here").length === 3);
  });

  test("that stays idle is ended after the keep-alive timeout", async () => {
    const { port } = await startServer({ keepAliveTimeoutMs: 50 });
    const connection = await RawConnection.open(port);
    connection.send(GOOD_REQUEST);
    await connection.until("the end", ({ closed }) => closed);
    expect(connection.received).toContain("still here");
  });

  test("is not ended by any timeout while its call runs", async () => {
    const { dispatch, releases } = heldDispatch();
    const limits = { headersTimeoutMs: 500, requestTimeoutMs: 500, keepAliveTimeoutMs: 500 };
    const { port } = await startServer({ dispatch, ...limits });
    const silent = await RawConnection.open(port);
    const calling = await RawConnection.open(port);
    calling.send(GOOD_REQUEST);
    await vi.waitFor(() => expect(releases).toHaveLength(1), patiently);
    // The timeouts have struck once the connection that says nothing is gone.
    await silent.until("the end of the silent connection", ({ closed }) => closed);
    releases[0]?.();
    await calling.until("an answer", ({ received }) => received.includes("released"));
  });

  test("is not ended by a timeout of the call before, if the next was sent ahead", async () => {
    const { dispatch, releases } = heldDispatch();
    const limits = { headersTimeoutMs: 500, requestTimeoutMs: 500 };
    const { port } = await startServer({ dispatch, ...limits });
    const calling = await RawConnection.open(port);
    calling.send(GOOD_REQUEST.repeat(2));
    await vi.waitFor(() => expect(releases).toHaveLength(2), patiently);
    releases[0]?.();
    await calling.until("an answer", ({ received }) => received.includes("released"));
    const silent = await RawConnection.open(port);
    await silent.until("the end of the silent connection", ({ closed }) => closed);
    releases[1]?.();
    await calling.until("the other", ({ received }) => received.split("released").length === 3);
  });

  test("whose client does not read its answer is cut", async () => {
    const dispatch = vi.fn(async () => "x".repeat(30_000_000));
    const { port, server } = await startServer({
      dispatch,
      requestTimeoutMs: 1_000,
      headersTimeoutMs: 1_000,
    });
    const connection = await RawConnection.open(port);
    connection.stopReading();
    connection.send(GOOD_REQUEST);
    await vi.waitFor(() => expect(dispatch).toHaveBeenCalled(), patiently);
    // Were it not cut, closing would wait for it until a deadline that is beyond the test's.
    await server.close(600_000);
  });

  test("with too many calls at once is cut", async () => {
    const { dispatch, releases } = heldDispatch();
    const { port } = await startServer({ dispatch });
    const connection = await RawConnection.open(port);
    connection.send(GOOD_REQUEST.repeat(100));
    await connection.until("the end", ({ closed }) => closed);
    expect(releases.length).toBeLessThanOrEqual(16);
  });

  test("beyond the most that are allowed is dropped", async () => {
    const { port } = await startServer({ maxConnections: 1 });
    const first = await RawConnection.open(port);
    first.send(GOOD_REQUEST);
    await first.until("an answer", ({ received }) => received.includes("still here"));
    const second = await RawConnection.open(port);
    await second.until("the end", ({ closed }) => closed);
    expect(first.closed).toBe(false);
  });
});

describe("gzip", () => {
  const large = "large ".repeat(500);

  async function receivedFor(acceptEncoding: string, value: string): Promise<RawConnection> {
    const { port } = await startServer();
    const connection = await RawConnection.open(port);
    const body = callOf(value);
    const headers = `Host: x\r\nConnection: close\r\nContent-Length: ${body.length}\r\nAccept-Encoding: ${acceptEncoding}`;
    connection.send(`POST / HTTP/1.1\r\n${headers}\r\n\r\n${body}`);
    await connection.until("the end", ({ closed }) => closed);
    return connection;
  }

  test.each(["gzip", "deflate, gzip;q=1.0, *;q=0.5", "x-gzip", "br,GZIP", "gzip;q=0.5"])(
    "packs an answer above 1,400 bytes for a client that accepts %s",
    async (acceptEncoding) => {
      const { received } = await receivedFor(acceptEncoding, large);
      const [head = "", body = ""] = received.split("\r\n\r\n");
      expect(head).toContain("Content-Encoding: gzip");
      const start = received.length - Number(/Content-Length: (\d+)/.exec(head)?.[1]);
      expect(body).not.toBe("");
      expect(gunzipSync(Buffer.from(received.slice(start), "latin1")).toString()).toContain(large);
    },
  );

  test.each([
    ["identity", large],
    ["gzip;q=0", large],
    ["gzip;q=0.000", large],
    ["notgzip, gzipped", large],
    ["gzip", "small"],
  ])("does not pack for %s", async (acceptEncoding, value) => {
    const { received } = await receivedFor(acceptEncoding, value);
    expect(received).not.toContain("Content-Encoding");
    expect(received).toContain(value);
  });

  test("is accepted in a request", async () => {
    const { port } = await startServer();
    const response = await postTo(port, gzipSync(GOOD_BODY), { "Content-Encoding": "gzip" });
    expect(await response.text()).toContain("still here");
  });
});

describe("a refusal", () => {
  test("of a body that is too large reaches a client that reads only when it has sent all", async () => {
    const { port } = await startServer({ maxBodyBytes: 1000 });
    const connection = await RawConnection.open(port);
    connection.stopReading();
    connection.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n");
    await connection.sendAll("x".repeat(16_000_000));
    connection.readOn();
    await connection.until("the end", ({ closed }) => closed);
    expect(connection.received).toMatch(/^HTTP\/1\.1 413 /);
    expect(connection.received).toContain("The body is larger than 1000 bytes.");
  });

  test("meets who sends more than there is room for beside the others, until these are done", async () => {
    const { port } = await startServer({ maxHeldBytes: 100_000 });
    const first = await RawConnection.open(port);
    const head = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length:";
    first.send(`${head} 60001\r\n\r\n${"x".repeat(60_000)}`);
    const second = async (): Promise<string> => {
      const connection = await RawConnection.open(port);
      connection.send(`${head} 60000\r\nConnection: close\r\n\r\n${"x".repeat(60_000)}`);
      await connection.until("an answer", ({ closed }) => closed);
      return connection.received;
    };
    await vi.waitFor(async () => expect(await second()).toMatch(/^HTTP\/1\.1 503 /), patiently);
    const small = await postTo(port, GOOD_BODY);
    expect(await small.text()).toContain("still here");
    first.send("x");
    await first.until("its answer", ({ received }) => received.includes("fault"));
    expect(await second()).toMatch(/^HTTP\/1\.1 200 /);
    first.reset();
  });

  test("tells which HTTP method is allowed", async () => {
    const { port } = await startServer();
    const response = await fetch(`http://127.0.0.1:${port}/`);
    expect([response.status, response.headers.get("allow")]).toEqual([405, "POST"]);
  });

  test("is reported with its reason", async () => {
    const onRefused = vi.fn();
    const { port } = await startServer({ onRefused });
    await (await postTo(port, "<a/>")).text();
    const reason = 'The document must be a <methodCall>, not "a".';
    expect(onRefused).toHaveBeenCalledExactlyOnceWith(reason, "127.0.0.1");
  });
});

describe("listening", () => {
  test("on a port that is taken fails with a sentence that says which and what to do", async () => {
    const { port } = await startServer();
    const other = createXmlRpcServer({
      dispatch: echo,
      maxBodyBytes: 1,
      maxHeldBytes: 1,
      maxConnections: 1,
      headersTimeoutMs: 1000,
      requestTimeoutMs: 1000,
      keepAliveTimeoutMs: 1000,
      onDefect: () => undefined,
    });
    const listening = other.listen("127.0.0.1", port);
    await expect(listening).rejects.toBeInstanceOf(ListenError);
    await expect(listening).rejects.toThrow(
      `Cannot listen on 127.0.0.1:${port}: another program listens there; stop it, or configure another port.`,
    );
    await other.close(0);
  });
});

describe("closing", () => {
  test("lets a running call end, and its connection with it", async () => {
    const { dispatch, releases } = heldDispatch();
    const { port, server } = await startServer({ dispatch });
    const calling = await RawConnection.open(port);
    calling.send(GOOD_REQUEST);
    await vi.waitFor(() => expect(releases).toHaveLength(1), patiently);
    const closed = server.close(60_000);
    releases[0]?.();
    await closed;
    await calling.until("the end", (connection) => connection.closed);
    expect(calling.received).toContain("released");
    expect(calling.received).toContain("Connection: close");
  });

  test("lets an answer that is on its way arrive whole, and then ends its connection", async () => {
    const { port, server } = await startServer({ dispatch: async () => "x".repeat(30_000_000) });
    const calling = await RawConnection.open(port);
    calling.send(GOOD_REQUEST);
    await calling.until("some of the answer", ({ received }) => received.length > 0);
    await server.close(600_000);
    await calling.until("the end", ({ closed }) => closed);
    expect(calling.received.endsWith("</methodResponse>\n")).toBe(true);
  });

  test("ends idle and silent connections at once", async () => {
    const { port, server } = await startServer();
    const silent = await RawConnection.open(port);
    const idle = await RawConnection.open(port);
    idle.send(GOOD_REQUEST);
    await idle.until("an answer", ({ received }) => received.includes("still here"));
    await server.close(60_000);
    await silent.until("the end", ({ closed }) => closed);
    await idle.until("the end", ({ closed }) => closed);
  });

  test("cuts a call that is still running at the deadline, and aborts its signal", async () => {
    const { dispatch, signals } = heldDispatch();
    const { port, server } = await startServer({ dispatch });
    const calling = await RawConnection.open(port);
    calling.send(GOOD_REQUEST);
    await vi.waitFor(() => expect(signals).toHaveLength(1), patiently);
    await server.close(10);
    await calling.until("the end", ({ closed }) => closed);
    await vi.waitFor(() => expect(signals[0]?.aborted).toBe(true), patiently);
  });

  test("frees the port", async () => {
    const { port, server } = await startServer();
    await server.close(0);
    const http = createServer();
    onTestFinished(() => void http.close());
    await new Promise<void>((resolve) => http.listen(port, "127.0.0.1", resolve));
    expect((http.address() as AddressInfo).port).toBe(port);
  });

  test("twice, or without having listened, is no error", async () => {
    const { server } = await startServer();
    await Promise.all([server.close(0), server.close(0)]);
    await expect(server.close(0)).resolves.toBeUndefined();
  });
});
