import { chmodSync, lstatSync, unlinkSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { VasError } from "../../shared/errors.js";
import {
  ControlDefectError,
  errorLine,
  MAX_LINE_BYTES,
  parseRequest,
  readResult,
  resultLine,
} from "./control-message.js";
import { LineSplitter } from "./line-splitter.js";

/** What a process answers on its control socket; a handler that throws a VasError answers that error. */
export type ControlHandlers = Readonly<Record<string, (params: unknown) => Promise<unknown>>>;

export interface ControlServer {
  /** Stops listening, removes the socket and ends all connections; running handlers go on unheard. */
  close(): Promise<void>;
}

/** Nobody listens on the socket, or the connection ended before an answer. */
export class ControlUnreachableError extends Error {
  override readonly name = "ControlUnreachableError";
}

/** The other process took the call and did not answer in time. Whether it did what was asked is unknown. */
export class ControlTimeoutError extends Error {
  override readonly name = "ControlTimeoutError";
}

/** `sun_path` has 108 bytes, one of them for the end. */
const MAX_SOCKET_PATH_BYTES = 107;
const MAX_CONNECTIONS = 256;
/** Further requests of one connection wait in its socket. */
const MAX_RUNNING_PER_CONNECTION = 64;

/**
 * Refuses a path that the kernel would cut off.
 *
 * @throws VasError EINVAL with a sentence that says what to do
 */
export function checkSocketPath(path: string): void {
  const bytes = Buffer.byteLength(path);
  if (bytes > MAX_SOCKET_PATH_BYTES) {
    throw new VasError(
      "EINVAL",
      `the socket ${path} has a path of ${bytes} bytes, at most ${MAX_SOCKET_PATH_BYTES} work; choose a shorter folder`,
    );
  }
}

/**
 * Answers JSON lines on a Unix socket (mode 0600). A socket file that a dead process left behind is replaced. Lines that
 * are no request end their connection; nothing that a peer sends ends the process.
 *
 * @throws VasError EINVAL if the path is too long, EBUSY if a living process listens on it, EEXIST if it is no socket
 */
export async function serveControl(path: string, handlers: ControlHandlers): Promise<ControlServer> {
  checkSocketPath(path);
  await removeStaleSocket(path);
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    serveConnection(socket, handlers);
  });
  server.maxConnections = MAX_CONNECTIONS;
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(path, () => {
      server.off("error", reject);
      // Accepting can fail later, such as when no file descriptor is free; unheard, that would end the process.
      server.on("error", () => undefined);
      resolve();
    });
  });
  chmodSync(path, 0o600);
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/**
 * Calls another process over its control socket, on a connection of its own.
 *
 * @param timeoutMs for all of it: connecting, asking and the whole answer
 * @throws VasError as the other process answered it
 * @throws ControlUnreachableError, ControlTimeoutError, ControlDefectError
 */
export function callControl(
  path: string,
  method: string,
  params: unknown,
  timeoutMs: number,
): Promise<unknown> {
  checkSocketPath(path);
  const request = `${JSON.stringify({ id: 1, method, params })}\n`;
  return new Promise((resolve, reject) => {
    const socket = createConnection(path);
    const lines = new LineSplitter(MAX_LINE_BYTES);
    const settle = (act: () => void): void => {
      clearTimeout(deadline);
      socket.destroy();
      act();
    };
    const fail = (error: Error): void => settle(() => reject(error));
    const deadline = setTimeout(
      () => fail(new ControlTimeoutError(`${method} at ${path} was not answered within ${timeoutMs} ms`)),
      timeoutMs,
    );
    socket.once("connect", () => socket.write(request));
    socket.on("error", (cause) =>
      fail(new ControlUnreachableError(`${method} at ${path}: ${cause.message}`, { cause })),
    );
    socket.once("close", () =>
      fail(new ControlUnreachableError(`${method} at ${path}: the connection ended`)),
    );
    socket.on("data", (chunk) => {
      try {
        const [line] = lines.push(chunk);
        if (line === undefined) return;
        const result = readResult(line);
        settle(() => resolve(result));
      } catch (error) {
        fail(error instanceof Error ? error : new ControlDefectError(String(error)));
      }
    });
  });
}

function serveConnection(socket: Socket, handlers: ControlHandlers): void {
  const lines = new LineSplitter(MAX_LINE_BYTES);
  let running = 0;
  const finish = (answer: string): void => {
    running -= 1;
    if (socket.writable) socket.write(answer);
    if (running < MAX_RUNNING_PER_CONNECTION) socket.resume();
  };
  const serve = (line: string): void => {
    const request = parseRequest(line);
    if (request === undefined) {
      socket.destroy();
      return;
    }
    running += 1;
    runHandler(handlers, request.method, request.params)
      .then((result) => resultLine(request.id, result))
      .catch((error: unknown) => errorLine(request.id, error))
      .then(finish, () => socket.destroy());
  };
  socket.on("error", () => socket.destroy());
  socket.on("data", (chunk) => {
    try {
      for (const line of lines.push(chunk)) {
        if (socket.destroyed) return;
        serve(line);
      }
    } catch {
      socket.destroy();
    }
    if (running >= MAX_RUNNING_PER_CONNECTION) socket.pause();
  });
}

async function runHandler(handlers: ControlHandlers, method: string, params: unknown): Promise<unknown> {
  const handler = Object.hasOwn(handlers, method) ? handlers[method] : undefined;
  if (handler === undefined) throw new VasError("EINVAL", `there is no control method "${method}"`);
  return handler(params);
}

/** Only a socket that refuses connections is removed: its process is dead, since listening ends with the process. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) throw new VasError("EEXIST", `${path} exists and is not a socket; remove it`);
  const refusal = await connectError(path);
  if (refusal === "ENOENT") return;
  if (refusal !== "ECONNREFUSED") throw new VasError("EBUSY", `a living process listens on ${path} already`);
  unlinkSync(path);
}

function connectError(path: string): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path);
    socket.once("connect", () => {
      socket.destroy();
      resolve(undefined);
    });
    socket.once("error", (error: NodeJS.ErrnoException) => resolve(error.code));
  });
}
