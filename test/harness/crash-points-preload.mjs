/**
 * Makes the points countable at which a process of the product can be stopped. It is loaded into a control process by
 * `NODE_OPTIONS=--import`, and wraps what lies below the product – SQLite's COMMIT, HTTP, renames and removals of files,
 * the start of programs, control sockets –, so that the product itself knows nothing of it.
 *
 * What is to happen is read at each point from the plan, a JSON file named by VAS_CRASH_PLAN (see crash-points.ts):
 * without it, nothing is counted. With one, the point is appended to its log, and at the point that it names the action is
 * taken: `kill` this process, `drop` the answer that has come, deliver the call `twice`, let the step `fail`, or `hang` at it
 * for ever.
 */
import childProcess from "node:child_process";
import { appendFileSync, promises as files, readFileSync, rmSync } from "node:fs";
import http from "node:http";
import { createRequire, syncBuiltinESMExports } from "node:module";
import net from "node:net";
import { basename } from "node:path";

const planPath = process.env.VAS_CRASH_PLAN;
// The programs of the data path, which this process starts, are not looked at.
delete process.env.VAS_CRASH_PLAN;
delete process.env.NODE_OPTIONS;

/** Not of any job: registration, server checks, and what the tests themselves ask. */
const BACKGROUND = new Set([
  "helloWorld",
  "identifyCluster",
  "registerHeadServer",
  "registerStorageServer",
  "registerPhysicalDisk",
  "getClusterStatus",
  "checkState",
  "listLogicalVolumes",
  "showLogicalVolume",
  "listHeadServers",
  "listStorageServers",
  "listPhysicalDisks",
]);
/** Asked again and again until something has ended: only the first time is a point that every run has. */
const POLLS = new Set(["waitEvent", "getShredStatus", "status"]);
/** A transaction that changed none of these is not a job's. */
const JOB_TABLES = new Set(["job", "volume", "mirror", "extent", "free_range", "snapshot"]);
/** Their rows follow from the others, and would only make names long. */
const UNNAMED_TABLES = new Set(["sequence", "event", "disk"]);
const JOB_STATUS = ["", "PENDING", "RUNNING", "DONE", "CANCELED", "FAILED"];

let planId;
let counts = new Map();

function readPlan() {
  try {
    return JSON.parse(readFileSync(planPath, "utf8"));
  } catch {
    return undefined;
  }
}

/** Counts a point. @returns the action to take here, unless that is `kill`: then it does not return. */
function pass(kind) {
  const plan = readPlan();
  if (plan === undefined) return undefined;
  if (plan.id !== planId) {
    planId = plan.id;
    counts = new Map();
  }
  const occurrence = (counts.get(kind) ?? 0) + 1;
  counts.set(kind, occurrence);
  const method = kind.split(" ").at(-1) ?? "";
  if (occurrence > 1 && POLLS.has(method)) return undefined;
  const isKind = plan.kind === "*" ? kind.startsWith("before call ") : plan.kind === kind;
  const isMeant = isKind && (plan.occurrence === 0 || plan.occurrence === occurrence);
  appendFileSync(plan.log, `${JSON.stringify({ kind, occurrence, hit: isMeant })}\n`);
  if (!isMeant) return undefined;
  if (plan.action !== "kill") return plan.action;
  // First, so that the process that takes our place is left alone.
  // The test may have seen the hit, and taken the plan away, already.
  rmSync(planPath, { force: true });
  process.kill(process.pid, "SIGKILL");
  return undefined;
}

const forEver = () => new Promise(() => undefined);

/** Ids differ from run to run. */
function nameOf(path) {
  return basename(String(path)).replaceAll(/[0-9a-f]{8}/g, "#");
}

function methodOf(body) {
  return /<methodName>\s*(\w+)/.exec(String(body ?? ""))?.[1];
}

function isJobs(method) {
  return method !== undefined && !BACKGROUND.has(method);
}

// --- SQLite: a commit is named after what it changed.

function watchCommits() {
  const Database = createRequire(import.meta.url)("better-sqlite3");
  const memory = new Database(":memory:");
  const statement = Object.getPrototypeOf(memory.prepare("SELECT 1"));
  memory.close();
  let changed = [];
  const note = (sql, parameters) => {
    const [, verb = "", table = ""] = /^(insert|update|delete)\s+(?:into |from )?"(\w+)"/i.exec(sql) ?? [];
    if (table === "" || UNNAMED_TABLES.has(table)) return;
    changed.push({ table, words: `${verb} ${table}${table === "job" ? jobWords(sql, parameters) : ""}` });
  };
  const { run, all } = statement;
  statement.run = function (...parameters) {
    if (/^BEGIN/.test(this.source)) changed = [];
    if (this.source !== "COMMIT") {
      const result = run.apply(this, parameters);
      if (result.changes > 0) note(this.source, parameters);
      return result;
    }
    const words = [...new Set(changed.map((change) => change.words))].join(", ");
    const counts = changed.some(({ table }) => JOB_TABLES.has(table));
    changed = [];
    if (counts) pass(`before commit of ${words}`);
    const result = run.apply(this, parameters);
    if (counts) pass(`after commit of ${words}`);
    return result;
  };
  statement.all = function (...parameters) {
    const rows = all.apply(this, parameters);
    if (rows.length > 0) note(this.source, parameters);
    return rows;
  };
}

/** The kind, the phase and the status that a statement gives a job. */
function jobWords(sql, parameters) {
  const words = parameters.filter((value) => typeof value === "string" && /^[a-z]{4,8}$/.test(value));
  const status = /set "status" = \?/.test(sql) ? JOB_STATUS[parameters[0]] : undefined;
  return [...new Set([...words, ...(status === undefined ? [] : [status])])]
    .map((word) => ` ${word}`)
    .join("");
}

// --- HTTP: calls that this process makes, and answers that it gives.

function watchCalls() {
  const plain = http.request;
  http.request = function (...args) {
    const request = plain.apply(this, args);
    const end = request.end;
    request.end = (body, ...rest) => {
      const method = methodOf(body);
      if (!isJobs(method)) return end.call(request, body, ...rest);
      // Before the listeners of the caller, who therefore has not learnt of the answer yet.
      request.prependOnceListener("response", (response) => {
        if (pass(`after answer of ${method}`) === "drop") response.destroy(new Error("dropped"));
      });
      const action = pass(`before call ${method}`);
      if (action !== "twice") return end.call(request, body, ...rest);
      deliver(plain, args[0], body).then(
        () => end.call(request, body, ...rest),
        (error) => request.destroy(error),
      );
      return request;
    };
    return request;
  };
}

/** Sends a call on a connection of its own, and waits for its answer. */
function deliver(plain, options, body) {
  return new Promise((resolve, reject) => {
    const request = plain({ ...options, agent: false, signal: undefined });
    request.once("error", reject);
    request.once("response", (response) => response.once("end", resolve).resume());
    request.end(body);
  });
}

function watchAnswers() {
  const emit = http.Server.prototype.emit;
  http.Server.prototype.emit = function (event, request, response, ...rest) {
    if (event === "request") {
      let head = "";
      const push = request.push;
      request.push = (chunk, ...more) => {
        if (chunk !== null && head.length < 512) head += String(chunk).slice(0, 512);
        return push.call(request, chunk, ...more);
      };
      const end = response.end;
      response.end = (...args) => {
        const method = methodOf(head);
        if (isJobs(method)) pass(`before answering ${method}`);
        return end.apply(response, args);
      };
    }
    return emit.call(this, event, request, response, ...rest);
  };
}

// --- Files, programs and control sockets: what agents do.

function watchFiles() {
  const around = (verb, original) =>
    async function (path, ...rest) {
      const name = nameOf(verb === "rename" ? rest[0] : path);
      const action = pass(`before ${verb} ${name}`);
      if (action === "hang") await forEver();
      if (action === "fail") throw new Error(`${verb} ${name} fails as planned`);
      const result = await original.call(this, path, ...rest);
      pass(`after ${verb} ${name}`);
      return result;
    };
  files.rename = around("rename", files.rename);
  files.rm = around("rm", files.rm);
}

function watchPrograms() {
  const { spawn } = childProcess;
  childProcess.spawn = function (program, args, ...rest) {
    const entry = Array.isArray(args) ? args.find((arg) => arg.endsWith(".js") || arg === "fallocate") : "";
    const name = nameOf(entry ?? program);
    pass(`before spawn ${name}`);
    const child = spawn.call(this, program, args, ...rest);
    pass(`after spawn ${name}`);
    return child;
  };
}

function watchControlSockets() {
  const { createConnection } = net;
  net.createConnection = function (...args) {
    const socket = createConnection.apply(this, args);
    if (typeof args[0] !== "string") return socket;
    const write = socket.write;
    socket.write = (data, ...rest) => {
      const method = /"method":"(\w+)"/.exec(String(data))?.[1];
      if (method !== undefined && !POLLS.has(method)) {
        pass(`before control ${method}`);
        socket.prependOnceListener("data", () => pass(`after control ${method}`));
      }
      return write.call(socket, data, ...rest);
    };
    return socket;
  };
}

if (planPath !== undefined) {
  watchCommits();
  watchCalls();
  watchAnswers();
  watchFiles();
  watchPrograms();
  watchControlSockets();
  syncBuiltinESMExports();
}
