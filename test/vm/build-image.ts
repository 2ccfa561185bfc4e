import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestProject } from "vitest/node";

import { buildProjectDisk } from "./project-disk.js";

declare module "vitest" {
  interface ProvidedContext {
    /** Folder with the image of the test machine, and of the disk that holds the project as it is compiled now. */
    machineImage: string;
  }
}

const BUILD_MS = 900_000;
const programs = [
  "qemu-system-x86_64",
  "mmdebstrap",
  "eatmydata",
  "busybox",
  "cpio",
  "mke2fs",
  "depmod",
  "setpriv",
];
const packages = "qemu-system-x86 mmdebstrap eatmydata busybox-static cpio e2fsprogs kmod util-linux";
const recipe = fileURLToPath(new URL("image", import.meta.url));
const hostFiles = fileURLToPath(new URL("../../packaging/kernel", import.meta.url));

/** Runs once, before all tests in machines: builds their image, unless the one that is there is of the same recipe. */
export async function setup(project: TestProject): Promise<void> {
  const folder = process.env.VAS_VM_IMAGE ?? join(homedir(), ".cache/vastsky/machine");
  const stamp = join(folder, "stamp");
  const wanted = stampOfRecipe();
  if (!existsSync(stamp) || readFileSync(stamp, "utf8") !== wanted) {
    rmSync(stamp, { force: true });
    build(folder);
    writeFileSync(stamp, wanted);
  }
  await buildProjectDisk(join(folder, "project.ext4"));
  project.provide("machineImage", folder);
}

function stampOfRecipe(): string {
  const hash = createHash("sha256");
  for (const folder of [recipe, hostFiles]) {
    const names = readdirSync(folder, { recursive: true, encoding: "utf8" }).sort();
    const files = names.map((name) => join(folder, name)).filter((path) => statSync(path).isFile());
    for (const path of files) hash.update(readFileSync(path));
  }
  return hash.digest("hex");
}

function build(folder: string): void {
  const missing = programs.filter((name) => spawnSync("which", [name]).status !== 0);
  if (missing.length > 0)
    throw new Error(`${missing.join(", ")} missing: apt-get install --no-install-recommends ${packages}`);
  const { status, error } = spawnSync(join(recipe, "build.sh"), [folder], {
    stdio: "inherit",
    timeout: BUILD_MS,
  });
  if (status !== 0) throw new Error("the image of the test machine could not be built", { cause: error });
}
