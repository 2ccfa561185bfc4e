import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const MEGABYTES = 640;

/**
 * Makes the image of a file system with the compiled project, what it depends on, and the Node that runs us; machines mount it
 * read-only at /project.
 */
export function buildProjectDisk(image: string): void {
  const root = mkdtempSync(join(tmpdir(), "vas-project-"));
  try {
    for (const name of ["dist", "package.json"])
      cpSync(join(repository, name), join(root, name), { recursive: true });
    for (const folder of productionPackages())
      cpSync(folder, join(root, relative(repository, folder)), { recursive: true });
    mkdirSync(join(root, "bin"));
    cpSync(process.execPath, join(root, "bin/node"));
    symlinkSync("../dist/cli/main.js", join(root, "bin/vas"));
    rmSync(image, { force: true });
    const options = "lazy_itable_init=1,root_owner=0:0";
    const args = ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", options, "-d", root];
    execFileSync("mke2fs", [...args, image, `${MEGABYTES}M`]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/** Folders of the packages that the project needs to run. */
function productionPackages(): string[] {
  const list = execFileSync("npm", ["ls", "--omit=dev", "--all", "--parseable"], {
    cwd: repository,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "ignore"],
  });
  return list.split("\n").filter((folder) => folder.startsWith(join(repository, "node_modules")));
}
