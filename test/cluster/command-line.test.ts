import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { showStorageServer } from "../../shared/ids.js";
import type { TestCluster } from "../harness/cluster.js";
import type { TestServer } from "../harness/test-server.js";
import { run, type ToolResult } from "../harness/tools.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";

const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

function vas(cluster: TestCluster, ...args: string[]): Promise<ToolResult> {
  const environment = { ...process.env, VAS_MANAGER: `${cluster.manager.plan.address}:8881` };
  return run(process.execPath, [program, ...args], environment);
}

test("a volume's life on the command line", async () => {
  const cluster = await useCluster({ storageServers: 2 });
  const succeed = async (...args: string[]): Promise<string> => {
    const result = await vas(cluster, ...args);
    expect(result.code, `vas ${args.join(" ")}: ${result.stderr}`).toBe(0);
    return result.stdout;
  };

  const [, id = ""] =
    /created (lvol-[0-9a-f]{8}) data/.exec(
      await succeed("volume", "create", "data", "--size", "1", "--redundancy", "2"),
    ) ?? [];
  expect(await succeed("volume", "list")).toContain(id);
  expect(await succeed("volume", "attach", "data", "--head", "1")).toContain("attached to hsvr-00000001");
  expect(await succeed("volume", "show", id)).toContain("INSYNC");
  expect(JSON.parse(await succeed("--json", "volume", "show", id))).toMatchObject({ capacity: 1 });
  expect(await succeed("server", "list")).toContain("ssvr-00000002");
  expect(await succeed("disk", "list")).toContain(cluster.storage[0]?.plan.disks[0]);
  expect(await succeed("status")).toContain("1 attached");
  expect(JSON.parse(await succeed("volume", "list", "data", "--json"))).toMatchObject([{ lvolname: "data" }]);
  expect(await succeed("server", "show", "hsvr-00000001")).toContain(id);
  expect(await succeed("server", "show", "ssvr-00000002")).toContain("pdsk-");
  expect(await succeed("disk", "list", "--server", "ssvr-00000002")).not.toContain("ssvr-00000001");
  expect(await succeed("call", "--describe", "deleteLogicalVolume")).toContain(
    "EBUSY (16)  it has snapshots",
  );
  expect(JSON.parse(await succeed("call", "listLogicalVolumes", '{"lvolname":"data"}'))).toMatchObject([
    { lvolname: "data", bind_status: 1 },
  ]);
  expect(await succeed("volume", "detach", id)).toContain("detached");
  expect(await succeed("volume", "delete", id.slice("lvol-".length))).toContain("deleted");
  expect(await succeed("volume", "list")).toBe("none\n");
  expect(await succeed("check")).toContain("nothing is wrong");
  expect(await succeed("failure", "server", "ssvr-00000002")).toContain("reported");
  expect(await succeed("status")).toContain("1 of 2 up");
  await expectConsistent(cluster);
});

test("a failure prints the manager's sentence and exits with 1, wrong usage with 2", async () => {
  const cluster = await useCluster({ storageServers: 2 });
  const missing = await vas(cluster, "volume", "show", "nobody");
  expect(missing.code).toBe(1);
  expect(missing.stderr).toContain("ENOENT");
  expect(missing.stderr).toContain("nobody");

  for (const wrong of [
    ["volume", "create"],
    ["volume", "attach", "a", "--head", "x"],
    ["nothing"],
    ["failure", "cat", "1"],
    ["failure", "server", "x"],
    ["server", "delete", "1"],
    ["disk", "bad-blocks", "pdsk-00000001"],
    ["disk", "bad-blocks", "pdsk-00000001", "x"],
    ["call", "nothing"],
    ["call", "listEvents", "[]"],
    ["shutdown"],
  ]) {
    const { code, stdout, stderr } = await vas(cluster, ...wrong);
    expect({ code, stdout }, wrong.join(" ")).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^error: /);
    expect(stderr).toContain("Usage: vas");
  }
  expect((await vas(cluster, "--help")).code).toBe(0);
  expect((await vas(cluster, "--version")).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);

  await cluster.manager.kill();
  const unreachable = await vas(cluster, "volume", "list");
  expect(unreachable.code).toBe(1);
  expect(unreachable.stderr).toContain("--manager");
});

test("what is out of use is deleted, events tell of it, and all is shut down", async () => {
  const cluster = await useCluster({ storageServers: 3 });
  const succeed = async (...args: string[]): Promise<string> => {
    const result = await vas(cluster, ...args);
    expect(result.code, `vas ${args.join(" ")}: ${result.stderr}`).toBe(0);
    return result.stdout;
  };
  const refused = await vas(cluster, "server", "delete", "hsvr-00000001");
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain("EBUSY");

  const storage = cluster.storage[2] as TestServer;
  const ssvrid = await cluster.storageServerId(storage);
  const [disk] = await cluster.api("listPhysicalDisks", { ssvrid });
  await succeed("disk", "bad-blocks", String(disk?.pdskid), "0", "3");
  await storage.kill();
  await succeed("failure", "server", String(ssvrid));
  await succeed("disk", "delete", String(disk?.pdskid));
  expect(await succeed("server", "delete", showStorageServer(ssvrid))).toContain(showStorageServer(ssvrid));

  expect(await succeed("event", "list")).toContain(`${showStorageServer(ssvrid)} was reported as failed`);
  expect(JSON.parse(await succeed("event", "list", "--limit", "1", "--json"))).toHaveLength(1);
  await succeed("shutdown", "--yes");
  expect(await succeed("disk", "list")).toContain("HALT");
});
