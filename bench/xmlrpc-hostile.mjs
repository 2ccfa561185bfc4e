/** Sends each hostile request to a server in a process of its own, and looks if that process still answers. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const TABLE = new URL("../test/xmlrpc/hostile-requests.json", import.meta.url);
const SERVER = fileURLToPath(new URL("./xmlrpc-echo-server.mjs", import.meta.url));
const REACTION_MS = 1000;
const ANSWER_MS = 2000;

const GOOD_BODY =
  "<methodCall><methodName>echo</methodName><params><param><value>still here</value></param></params></methodCall>";
const GOOD = `POST /RPC2 HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: ${GOOD_BODY.length}\r\n\r\n${GOOD_BODY}`;

/**
 * @param {"ours" | "package"} kind which server
 * @returns the names of the requests after which the process was gone, or gave no answer to a good call in time
 */
export async function countSurvivedRequests(kind) {
  const requests = JSON.parse(readFileSync(TABLE, "utf8"));
  const killedBy = [];
  const hungBy = [];
  let server = await start(kind);
  for (const request of requests) {
    await sendTo(server.port, toBytes(request), request.ending);
    if (await answers(server.port)) continue;
    // A process that is going down may take a moment to be gone.
    const gone = server.child.exitCode !== null || (await endsSoon(server.child));
    (gone ? killedBy : hungBy).push(request.name);
    server.child.kill("SIGKILL");
    server = await start(kind);
  }
  server.child.kill("SIGKILL");
  return { total: requests.length, killedBy, hungBy };
}

async function start(kind) {
  const child = spawn(process.execPath, [SERVER, kind], { stdio: ["ignore", "pipe", "ignore"] });
  const [line] = await once(child.stdout, "data");
  return { child, port: Number(line) };
}

async function endsSoon(child) {
  if (child.exitCode !== null) return true;
  const timeout = AbortSignal.timeout(REACTION_MS);
  return once(child, "exit", { signal: timeout }).then(
    () => true,
    () => false,
  );
}

/** Sends, and waits until the server has said something or closed, but not for long. */
function sendTo(port, bytes, then) {
  return new Promise((resolve) => {
    const socket = connect({ port, host: "127.0.0.1" });
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve();
    };
    const timer = setTimeout(done, REACTION_MS);
    socket.on("error", done);
    socket.on("close", done);
    socket.once("data", done);
    socket.write(bytes, () => {
      if (then === "end") socket.end();
      if (then === "reset") socket.resetAndDestroy();
    });
  });
}

function answers(port) {
  return new Promise((resolve) => {
    let received = "";
    const socket = connect({ port, host: "127.0.0.1" });
    const done = () => {
      clearTimeout(timer);
      socket.destroy();
      resolve(received.includes("still here"));
    };
    const timer = setTimeout(done, ANSWER_MS);
    socket.on("data", (chunk) => {
      received += chunk;
    });
    socket.on("error", done);
    socket.on("close", done);
    socket.write(GOOD);
  });
}

function toBytes({ raw, body = [], headers = {} }) {
  if (raw !== undefined) return join(raw);
  const content = join(body);
  const all = { Host: "x", "Content-Type": "text/xml", "Content-Length": content.length, ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`POST /RPC2 HTTP/1.1\r\n${lines.join("")}\r\n`), content]);
}

function join(pieces) {
  return Buffer.concat(pieces.map(pieceToBytes));
}

function pieceToBytes(piece) {
  if (typeof piece === "string") return Buffer.from(piece);
  if (piece.hex !== undefined) return Buffer.from(piece.hex, "hex");
  if (piece.gzip !== undefined) return gzipSync(join(piece.gzip));
  return Buffer.from(piece.repeat.repeat(piece.times));
}
