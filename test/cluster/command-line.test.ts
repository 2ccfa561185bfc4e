import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import type { TestCluster } from "../harness/cluster.js";
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
  ]) {
    expect((await vas(cluster, ...wrong)).code, wrong.join(" ")).toBe(2);
  }
  expect((await vas(cluster, "--help")).code).toBe(0);

  await cluster.manager.kill();
  const unreachable = await vas(cluster, "volume", "list");
  expect(unreachable.code).toBe(1);
  expect(unreachable.stderr).toContain("--manager");
});
