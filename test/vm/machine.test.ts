import { spawnSync } from "node:child_process";
import { truncateSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { useMachine } from "./use-machine.js";

async function emptyDisk(bytes: number): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "vas-vm-disk-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const path = join(folder, "data.ext4");
  writeFileSync(path, "");
  truncateSync(path, bytes);
  expect(spawnSync("mke2fs", ["-q", "-t", "ext4", path]).status).toBe(0);
  return path;
}

test("a machine that is reset has what was synced to its disk, and runs /data/boot again", async () => {
  const machine = await useMachine({ data: await emptyDisk(64 * 1024 * 1024) });
  const boot = "#!/bin/bash\necho begun >/run/begun\n";
  await machine.run(`printf '${boot}' >/data/boot; chmod +x /data/boot; sync; touch /run/before`);
  expect((await machine.try("[ -e /run/before ]")).code).toBe(0);
  await machine.reset();
  expect(await machine.run("until [ -e /run/begun ]; do sleep 0.1; done; cat /run/begun")).toBe("begun\n");
  expect((await machine.try("[ -e /run/before ]")).code).toBe(1);
});

test("a script that fails says so with what it printed", async () => {
  const machine = await useMachine();
  expect(await machine.try("echo out; echo err >&2; exit 3")).toEqual({
    code: 3,
    stdout: "out\n",
    stderr: "err\n",
  });
  await expect(machine.run("echo why >&2; false")).rejects.toThrow(/one: ended with 1: [\s\S]*why/);
  await expect(machine.run("sleep 60", 1_000)).rejects.toThrow(/ended with 124/);
});
