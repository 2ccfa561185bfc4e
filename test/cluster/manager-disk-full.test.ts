import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";

const mayMount = process.getuid?.() === 0;

/** A file system of a few MiB that is gone when the test ends. */
function smallFileSystem(): string {
  const folder = mkdtempSync(join(tmpdir(), "vas-full-"));
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=4m", "vas-test", folder]);
  onTestFinished(() => {
    execFileSync("umount", ["--lazy", folder]);
    rmdirSync(folder);
  });
  return folder;
}

/** Writes a file until there is no room for another byte. */
function fill(path: string): void {
  const file = openSync(path, "w");
  for (let size = 65_536; size >= 1; ) {
    try {
      writeSync(file, Buffer.alloc(size));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "ENOSPC") throw error;
      size = Math.floor(size / 2);
    }
  }
  closeSync(file);
}

// A file system can be made only by root; CI is.
test.skipIf(!mayMount)("a full disk of the manager fails calls, not the state", async () => {
  const folder = smallFileSystem();
  const cluster = await useCluster({ storageServers: 2, manager: { database: join(folder, "manager.db") } });
  await cluster.api("createLogicalVolume", { lvolname: "before", capacity: 1, redundancy: 2 });
  const filler = join(folder, "filler");
  fill(filler);

  // What is left inside the database's own files may be enough for some calls; it runs out.
  const create = (number: number) =>
    cluster.api("createLogicalVolume", { lvolname: `full-${number}`, capacity: 1, redundancy: 2 });
  const remove = (number: number) => cluster.api("deleteLogicalVolume", { lvolname: `full-${number}` });
  let failed = false;
  for (let number = 0; number < 10_000 && !failed; number += 1) {
    failed = await create(number)
      .then(() => remove(number))
      .then(
        () => false,
        () => true,
      );
  }
  expect(failed).toBe(true);
  expect((await cluster.api("listLogicalVolumes", {})).map(({ lvolname }) => lvolname)).toContain("before");

  rmSync(filler);
  await cluster.api("createLogicalVolume", { lvolname: "after", capacity: 1, redundancy: 2 });
  await expectConsistent(cluster);
});
