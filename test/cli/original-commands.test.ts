import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { CliError } from "../../cli/client.js";
import { failureLine } from "../../cli/original/run-original.js";
import {
  XmlRpcTimeoutError,
  XmlRpcTransportError,
  XmlRpcUnreachableError,
} from "../../shared/xmlrpc/call-errors.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { createXmlRpcServer } from "../../shared/xmlrpc/server.js";
import type { XmlRpcValue } from "../../shared/xmlrpc/value.js";
import { run } from "../harness/tools.js";
import { disks, headServers, layout, storageServers, volumes } from "./answers.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const manifest = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as {
  readonly bin: Readonly<Record<string, string>>;
};
const expected = (name: string): string =>
  readFileSync(new URL(`expected/${name}.txt`, import.meta.url), "utf8");

/** What a command sends, and what it prints for the answer. */
interface Case {
  readonly line: string;
  readonly sends: readonly [method: string, members: object];
  readonly answer: unknown;
  readonly prints: string;
}

const id = { lvolid: 0x1a };
const cases: readonly Case[] = [
  {
    line: "lvol_create data 10",
    sends: ["createLogicalVolume", { lvolname: "data", capacity: 10 }],
    answer: 26,
    prints: "lvol-0000001a\n",
  },
  {
    line: "lvol_create --redundancy 2 data 10",
    sends: ["createLogicalVolume", { lvolname: "data", capacity: 10, redundancy: 2 }],
    answer: 26,
    prints: "lvol-0000001a\n",
  },
  { line: "lvol_delete data", sends: ["deleteLogicalVolume", { lvolname: "data" }], answer: 0, prints: "" },
  { line: "lvol_delete lvol-0000001A", sends: ["deleteLogicalVolume", id], answer: 0, prints: "" },
  {
    line: "lvol_attach 0000001a hsvr-00000010",
    sends: ["attachLogicalVolume", { ...id, hsvrid: 16 }],
    answer: 0,
    prints: "",
  },
  { line: "lvol_detach lvol-0000001a", sends: ["detachLogicalVolume", id], answer: 0, prints: "" },
  { line: "lvol_list", sends: ["listLogicalVolumes", {}], answer: volumes, prints: expected("lvol_list") },
  {
    line: "lvol_list attached",
    sends: ["listLogicalVolumes", { lvolname: "attached" }],
    answer: volumes.slice(1, 2),
    prints: expected("lvol_list-attached"),
  },
  {
    line: "lvol_show data",
    sends: ["showLogicalVolume", { lvolname: "data" }],
    answer: layout,
    prints: expected("lvol_show"),
  },
  {
    line: "snap_create lvol-0000001a before",
    sends: ["createSnapshot", { origin_lvolid: 26, snapshot_lvolname: "before" }],
    answer: 27,
    prints: "lvol-0000001b\n",
  },
  {
    line: "snap_create data before",
    sends: ["createSnapshot", { origin_lvolname: "data", snapshot_lvolname: "before" }],
    answer: 27,
    prints: "lvol-0000001b\n",
  },
  { line: "hsvr_list", sends: ["listHeadServers", {}], answer: headServers, prints: expected("hsvr_list") },
  {
    line: "hsvr_list 0000000f",
    sends: ["listHeadServers", { hsvrid: 15 }],
    answer: [],
    prints: expected("hsvr_list-none"),
  },
  {
    line: "ssvr_list",
    sends: ["listStorageServers", {}],
    answer: storageServers,
    prints: expected("ssvr_list"),
  },
  {
    line: "ssvr_list ssvr-0000000f",
    sends: ["listStorageServers", { ssvrid: 15 }],
    answer: [],
    prints: expected("ssvr_list-none"),
  },
  { line: "pdsk_list", sends: ["listPhysicalDisks", {}], answer: disks, prints: expected("pdsk_list") },
  {
    line: "pdsk_list ssvr-0000000f",
    sends: ["listPhysicalDisks", { ssvrid: 15 }],
    answer: [],
    prints: expected("pdsk_list-none"),
  },
  {
    line: "hsvr_delete hsvr-0000000f",
    sends: ["deleteHeadServer", { hsvrid: 15 }],
    answer: 0,
    prints: "",
  },
  {
    line: "ssvr_delete 0000000f",
    sends: ["deleteStorageServer", { ssvrid: 15 }],
    answer: 0,
    prints: "",
  },
  {
    line: "pdsk_delete pdsk-0000000f",
    sends: ["deletePhysicalDisk", { pdskid: 15 }],
    answer: 0,
    prints: "",
  },
  { line: "shutdownAll", sends: ["shutdownAll", {}], answer: 0, prints: "" },
];

/** A manager that gives one answer, and keeps what it was asked. */
async function answering(answer: () => unknown) {
  const calls: [method: string, members: unknown][] = [];
  const server = createXmlRpcServer({
    dispatch: async (method, [members]) => {
      calls.push([method, { ...(members as object) }]);
      return answer() as XmlRpcValue;
    },
    maxBodyBytes: 1_000_000,
    maxHeldBytes: 64_000_000,
    maxConnections: 100,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 10_000,
    keepAliveTimeoutMs: 10_000,
    onDefect: (error) => process.stderr.write(`${String(error)}\n`),
  });
  const { port } = await server.listen("127.0.0.1", 0);
  onTestFinished(() => server.close(0));
  const execute = (line: string) => {
    const [name = "", ...args] = line.split(" ");
    const environment = { ...process.env, VAS_MANAGER: `127.0.0.1:${port}` };
    return run(process.execPath, [`${root}/${manifest.bin[name]}`, ...args], environment);
  };
  return { calls, execute };
}

test.each(cases)("$line", async ({ line, sends: [method, members], answer, prints }) => {
  const { calls, execute } = await answering(() => answer);
  expect(await execute(line)).toEqual({ code: 0, stdout: prints, stderr: "" });
  expect(calls).toEqual([[method, { ver: 5, ...members }]]);
});

test("every original command is among the cases, and is wired to a file of its own", () => {
  const names = Object.keys(manifest.bin).filter((name) => name !== "vas");
  expect([...new Set(cases.map(({ line }) => line.split(" ")[0]))].sort()).toEqual(names.sort());
  for (const name of names) {
    const source = `${root}/${manifest.bin[name]}`.replace("/dist/", "/").replace(/js$/, "ts");
    expect(readFileSync(source, "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
    expect(readFileSync(source, "utf8")).toContain(`name: "${name}"`);
  }
});

test.each([
  [2, "No such file or directory"],
  [16, "Device or resource busy"],
  [112, "Host is down"],
  [500, "Internal server error"],
  [9999, "Unknown error 9999"],
])("fault %i is told by its text alone", async (code, text) => {
  const { execute } = await answering(() => {
    throw new XmlRpcFault(code, "a sentence for people");
  });
  expect(await execute("lvol_show data")).toEqual({ code: 1, stdout: "", stderr: `${text}\n` });
});

test("a call without an answer has the text of an errno too", () => {
  const lineOf = (cause: Error): string => failureLine("lvol_list", new CliError("advice", { cause }));
  expect(lineOf(new XmlRpcUnreachableError("x"))).toBe("Host is down");
  expect(lineOf(new XmlRpcTimeoutError("x"))).toBe("Connection timed out");
  expect(lineOf(new XmlRpcTransportError("x"))).toBe("Input/output error");
  expect(failureLine("lvol_list", new CliError('"a:b" is not HOST'))).toBe('lvol_list: "a:b" is not HOST');
});
