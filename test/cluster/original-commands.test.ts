import { chmodSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { formatLayout } from "../../cli/original/format-layout.js";
import { formatVolumes } from "../../cli/original/format-volumes.js";
import { showDisk, showHeadServer, showStorageServer } from "../../shared/ids.js";
import { FailureTarget } from "../../shared/states.js";
import type { TestCluster } from "../harness/cluster.js";
import type { TestServer } from "../harness/test-server.js";
import { run, type ToolResult } from "../harness/tools.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";

const root = fileURLToPath(new URL("../..", import.meta.url));
const { bin } = JSON.parse(readFileSync(`${root}/package.json`, "utf8")) as {
  readonly bin: Readonly<Record<string, string>>;
};

/** The commands as npm installs them: links in a folder of their own, made executable. */
function install(folder: string, manager: string) {
  for (const [name, path] of Object.entries(bin)) {
    chmodSync(join(root, path), 0o755);
    symlinkSync(join(root, path), join(folder, name));
  }
  const environment = { ...process.env, VAS_MANAGER: manager };
  const execute = (line: string): Promise<ToolResult> => {
    const [name = "", ...args] = line.split(" ");
    return run(join(folder, name), args, environment);
  };
  /** Runs a command that must succeed. @returns what it printed. */
  const succeed = async (line: string): Promise<string> => {
    const { code, stdout, stderr } = await execute(line);
    expect({ line, code, stderr }).toEqual({ line, code: 0, stderr: "" });
    return stdout;
  };
  const expectFault = async (line: string, text: string): Promise<void> => {
    expect(await execute(line), line).toEqual({ code: 1, stdout: "", stderr: `${text}\n` });
  };
  return { execute, succeed, expectFault };
}

const installFor = (cluster: TestCluster) => install(cluster.folder, cluster.manager.plan.address);

test("a volume's life with the original commands", async () => {
  const cluster = await useCluster({ storageServers: 3 });
  const { succeed, expectFault } = installFor(cluster);
  const list = async (name: string) => cluster.api("listLogicalVolumes", { lvolname: name });
  const printed = (lines: readonly string[]): string => `${lines.join("\n")}\n`;

  const id = (await succeed("lvol_create --redundancy 2 data 1")).trim();
  expect(id).toMatch(/^lvol-[0-9a-f]{8}$/);
  await expectFault("lvol_create data 1", "File exists");
  await expectFault("lvol_create huge 1000000", "No space left on device");
  await expectFault("lvol_create none 0", "Invalid argument");
  expect(await succeed("lvol_list")).toBe(printed(formatVolumes(await list("data"))));

  expect(await succeed(`lvol_attach ${id} hsvr-00000001`)).toBe("");
  expect(await succeed("lvol_list data")).toContain("     1 GB  hsvr-00000001 ---          ");
  await expectFault("lvol_attach data 00000001", "Device or resource busy");
  await expectFault("lvol_delete data", "Device or resource busy");
  expect(await succeed(`lvol_show ${id.slice("lvol-".length)}`)).toBe(
    printed(formatLayout(await cluster.api("showLogicalVolume", { lvolname: "data" }))),
  );

  const snapshot = (await succeed("snap_create data before")).trim();
  expect(await succeed("lvol_list data")).toContain(`\n\tsnapshot-origin of ${snapshot}\n`);
  expect(await succeed("lvol_list before")).toContain(`\n\tsnapshot of ${id}\n`);
  expect(await succeed("lvol_show before")).toContain("INSYNC");
  expect(await succeed("lvol_delete before")).toBe("");

  expect(await succeed("lvol_detach data")).toBe("");
  expect(await succeed("lvol_list data")).toContain("     1 GB  ---           ---");
  expect(await succeed("lvol_delete data")).toBe("");
  for (const line of [
    "lvol_list data",
    "lvol_show data",
    "lvol_delete data",
    "lvol_attach data hsvr-00000001",
    "lvol_detach data",
    "snap_create data before",
    "hsvr_list hsvr-000000ff",
    "ssvr_list ssvr-000000ff",
    "pdsk_list ssvr-000000ff",
  ]) {
    await expectFault(line, "No such file or directory");
  }
  await expectConsistent(cluster);
});

test("the original lists show every server and disk", async () => {
  const cluster = await useCluster({ storageServers: 2, headServers: 2 });
  const { succeed, expectFault } = installFor(cluster);
  // Which server has which id depends on who registered first.
  const [first, second] = (await cluster.api("listHeadServers", {})).map(({ ip_data }) => ip_data[0]);
  expect((await succeed("hsvr_list")).split("\n")).toEqual([
    "hsvrid         priority resync",
    "hsvr-00000001  HIGH          0",
    `\tinet ${first}`,
    "hsvr-00000002  HIGH          0",
    `\tinet ${second}`,
    "",
  ]);
  expect(await succeed("hsvr_list 00000002")).not.toContain("hsvr-00000001");

  const storage = await succeed("ssvr_list");
  expect(storage).toMatch(/^total 8 GB {5}available 8 GB use% 0% {7}\nssvrid {9}priority resync {3}capacity/);
  expect(storage).toContain("ssvr-00000002  HIGH          0       4 GB       4 GB    0%\n\tinet ");
  expect(await succeed("ssvr_list ssvr-00000001")).not.toContain("ssvr-00000002");

  expect(await succeed("pdsk_list")).toMatch(/^total 8 GB {5}available 8 GB use% 0% {7}\npdskid {9}ssvrid/);
  const [disk] = await cluster.api("listPhysicalDisks", { ssvrid: 2 });
  expect((await succeed("pdsk_list 00000002")).split("\n")[2]).toBe(
    `pdsk-0000000${disk?.pdskid}  ssvr-00000002  HIGH          0       4 GB       4 GB    0% ${disk?.local_path.padEnd(40)}`,
  );

  await cluster.manager.kill();
  await expectFault("lvol_list", "Host is down");
});

test("what is out of use can be deleted, and all can be shut down", async () => {
  const cluster = await useCluster({ storageServers: 3, headServers: 2 });
  const { succeed, expectFault } = installFor(cluster);
  const [head, storage] = [cluster.heads[1] as TestServer, cluster.storage[2] as TestServer];
  const hsvrid = await cluster.headServerId(head);
  const ssvrid = await cluster.storageServerId(storage);
  const [disk] = await cluster.api("listPhysicalDisks", { ssvrid });
  const [hsvr, ssvr] = [showHeadServer(hsvrid), showStorageServer(ssvrid)];
  const pdsk = showDisk(disk?.pdskid ?? 0);
  for (const line of [`hsvr_delete ${hsvr}`, `ssvr_delete ${ssvr}`, `pdsk_delete ${pdsk}`]) {
    await expectFault(line, "Device or resource busy");
  }
  for (const line of ["hsvr_delete 000000ff", "ssvr_delete 000000ff", "pdsk_delete 000000ff"]) {
    await expectFault(line, "No such file or directory");
  }
  await head.kill();
  await storage.kill();
  await cluster.api("notifyFailure", { target: FailureTarget.HSVR, targetid: hsvrid });
  await cluster.api("notifyFailure", { target: FailureTarget.SSVR, targetid: ssvrid });
  expect(await succeed(`hsvr_delete ${hsvr}`)).toBe("");
  expect(await succeed(`pdsk_delete ${pdsk}`)).toBe("");
  expect(await succeed(`ssvr_delete ${ssvr}`)).toBe("");
  expect(await succeed("hsvr_list")).not.toContain(hsvr);
  expect(await succeed("ssvr_list")).not.toContain(ssvr);

  await succeed("lvol_create --redundancy 2 data 1");
  const left = showHeadServer(await cluster.headServerId(cluster.heads[0] as TestServer));
  await succeed(`lvol_attach data ${left}`);
  await expectFault("shutdownAll", "Device or resource busy");
  await succeed("lvol_detach data");
  expect(await succeed("shutdownAll")).toBe("");
  expect(await succeed("pdsk_list")).toContain("HALT");
});

const usages: Readonly<Record<string, string>> = {
  lvol_create: "[--redundancy N] lvolname capacity",
  lvol_delete: "lvol",
  lvol_attach: "lvol hsvrid",
  lvol_detach: "lvol",
  lvol_list: "[lvol]",
  lvol_show: "lvol",
  snap_create: "origin_lvol snapshot_lvolname",
  hsvr_list: "[hsvrid]",
  ssvr_list: "[ssvrid]",
  pdsk_list: "[ssvrid]",
  hsvr_delete: "hsvrid",
  ssvr_delete: "ssvrid",
  pdsk_delete: "pdskid",
  shutdownAll: "",
};

test("wrong usage and help print the usage and exit with 2, without a manager", async () => {
  const folder = mkdtempSync(join(tmpdir(), "vas-commands-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const { execute } = install(folder, "127.0.0.1:1");
  for (const [name, parameters] of Object.entries(usages)) {
    const usage = `usage: ${name} [-h|--help] ${parameters}`.trimEnd();
    for (const option of ["-h", "--help"]) {
      expect(await execute(`${name} ${option}`)).toEqual({ code: 2, stdout: "", stderr: `${usage}\n` });
    }
    const superfluous = await execute(`${name} 00000001 00000001 00000001`);
    expect(superfluous.code, name).toBe(2);
    expect(superfluous.stderr.split("\n")).toEqual([expect.stringContaining(`${name}: `), usage, ""]);
  }
  expect(await execute("lvol_attach a x")).toEqual({
    code: 2,
    stdout: "",
    stderr:
      "lvol_attach: invalid hsvr-id: x; expected hsvr-XXXXXXXX or eight hex digits\n" +
      "usage: lvol_attach [-h|--help] lvol hsvrid\n",
  });
});
