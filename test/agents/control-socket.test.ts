import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import {
  type ControlHandlers,
  ControlTimeoutError,
  ControlUnreachableError,
  callControl,
  serveControl,
} from "../../agents/common/control-socket.js";
import { VasError } from "../../shared/errors.js";
import { tempFolder } from "./temp-folder.js";

const DEADLINE_MS = 10_000;

async function serve(handlers: ControlHandlers): Promise<string> {
  const path = join(tempFolder(), "s.ctl");
  const server = await serveControl(path, handlers);
  onTestFinished(() => server.close());
  return path;
}

/** Sends bytes and returns all that came back until the other side ended the connection. */
async function exchange(path: string, bytes: string | Buffer, end = false): Promise<string> {
  const socket = createConnection(path);
  const answers: Buffer[] = [];
  socket.on("data", (chunk) => answers.push(chunk));
  // Cut off in the middle of writing: an error as well as an end.
  socket.on("error", () => undefined);
  const closed = new Promise((resolve) => socket.once("close", resolve));
  socket.write(bytes);
  if (end) socket.end();
  await closed;
  return Buffer.concat(answers).toString();
}

test("a call is answered, with large values too", async () => {
  const path = await serve({ echo: async (params) => params });
  const large = { text: "x".repeat(5_000_000) };
  expect(await callControl(path, "echo", large, DEADLINE_MS)).toEqual(large);
  expect(await callControl(path, "echo", undefined, DEADLINE_MS)).toBeNull();
});

test("an error of a handler is the same error to the caller, and a defect is told apart", async () => {
  const path = await serve({
    refuse: async () => {
      throw new VasError("EBUSY", "a client uses it");
    },
    fail: async () => {
      throw new TypeError("oops");
    },
  });
  await expect(callControl(path, "refuse", {}, DEADLINE_MS)).rejects.toMatchObject({
    errno: "EBUSY",
    sentence: "a client uses it",
  });
  await expect(callControl(path, "fail", {}, DEADLINE_MS)).rejects.toMatchObject({
    name: "ControlDefectError",
  });
  await expect(callControl(path, "toString", {}, DEADLINE_MS)).rejects.toMatchObject({ errno: "EINVAL" });
});

test("nobody there and no answer in time are different errors", async () => {
  const path = await serve({ hang: () => new Promise(() => undefined) });
  await expect(callControl(path, "hang", {}, 1)).rejects.toThrow(ControlTimeoutError);
  await expect(callControl(`${path}.no`, "hang", {}, DEADLINE_MS)).rejects.toThrow(ControlUnreachableError);
});

test("whatever a peer sends, the others are served", async () => {
  const path = await serve({ echo: async (params) => params });
  for (const line of [
    "\n",
    "null\n",
    "[]\n",
    "{}\n",
    '{"id":1}\n',
    "\u0000\u0001\n",
    '{"id":{},"method":"echo"}\n',
  ]) {
    expect(await exchange(path, line)).toBe("");
  }
  expect(await exchange(path, '{"id":1,"method":"echo"', true)).toBe("");
  expect(await exchange(path, Buffer.alloc(65 * 1024 * 1024, "x"))).toBe("");
  expect(await callControl(path, "echo", 1, DEADLINE_MS)).toBe(1);
});

test("many requests on one connection are all answered", async () => {
  const path = await serve({ echo: async (params) => params });
  const socket = createConnection(path);
  const count = 1000;
  let lines = 0;
  socket.write(
    Array.from({ length: count }, (_, id) => `{"id":${id},"method":"echo","params":${id}}\n`).join(""),
  );
  for await (const chunk of socket) {
    lines += (chunk as Buffer).toString().split("\n").length - 1;
    if (lines === count) break;
  }
  expect(lines).toBe(count);
});

test("a path that the kernel would cut off is refused with a sentence", async () => {
  const path = `/tmp/${"x".repeat(103)}`;
  await expect(serveControl(path, {})).rejects.toThrow(/108 bytes, at most 107.*shorter/);
});

test("a living process keeps its socket, and a file that is no socket is left alone", async () => {
  const path = await serve({});
  await expect(serveControl(path, {})).rejects.toMatchObject({ errno: "EBUSY" });
  const file = join(tempFolder(), "file");
  writeFileSync(file, "precious");
  await expect(serveControl(file, {})).rejects.toMatchObject({ errno: "EEXIST" });
  expect(existsSync(file)).toBe(true);
});

test("the socket of a killed process is replaced", async () => {
  const path = join(tempFolder(), "s.ctl");
  const code = `require("net").createServer().listen(${JSON.stringify(path)}, () => console.log("up"))`;
  const child = spawn(process.execPath, ["-e", code], { stdio: ["ignore", "pipe", "inherit"] });
  await once(child.stdout, "data");
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(existsSync(path)).toBe(true);
  const server = await serveControl(path, { ping: async () => "pong" });
  onTestFinished(() => server.close());
  expect(await callControl(path, "ping", {}, DEADLINE_MS)).toBe("pong");
});

test("an answer that is no answer is an error of the call", async () => {
  const path = join(tempFolder(), "s.ctl");
  const server = createServer((socket) => socket.end("nonsense\n"));
  server.listen(path);
  await once(server, "listening");
  onTestFinished(() => void server.close());
  await expect(callControl(path, "status", {}, DEADLINE_MS)).rejects.toMatchObject({
    name: "ControlDefectError",
  });
});
