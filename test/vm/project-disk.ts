import { execFileSync } from "node:child_process";
import { chmodSync, cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { bundlePrograms } from "./bundle-programs.js";

const repository = fileURLToPath(new URL("../..", import.meta.url));
const MEGABYTES = 640;

/** Where machines find the programs of `test/vm/guest`. */
export const GUEST_PROGRAMS = "/project/guest/test/vm/guest";

/**
 * Makes the image of a file system with the compiled project, what it depends on, the Node that runs us, and the programs that
 * tests run in machines; machines mount it read-only at /project.
 */
export async function buildProjectDisk(image: string): Promise<void> {
  const root = mkdtempSync(join(tmpdir(), "vas-project-"));
  try {
    for (const name of ["dist", "packaging", "package.json"])
      cpSync(join(repository, name), join(root, name), { recursive: true });
    for (const folder of productionPackages())
      cpSync(folder, join(root, relative(repository, folder)), { recursive: true });
    mkdirSync(join(root, "bin"));
    cpSync(process.execPath, join(root, "bin/node"));
    chmodSync(join(root, "dist/cli/main.js"), 0o755);
    symlinkSync("../dist/cli/main.js", join(root, "bin/vas"));
    await bundlePrograms(join(repository, "dist"), join(root, "dist"));
    compileGuestPrograms(join(root, "guest"));
    rmSync(image, { force: true });
    const options = "lazy_itable_init=1,root_owner=0:0";
    const args = ["-q", "-t", "ext4", "-O", "^has_journal", "-m", "0", "-E", options, "-d", root];
    execFileSync("mke2fs", [...args, image, `${MEGABYTES}M`]);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

function compileGuestPrograms(to: string): void {
  const project = join(repository, "test/vm/guest/tsconfig.json");
  execFileSync(join(repository, "node_modules/.bin/tsc"), ["-p", project, "--outDir", to], {
    stdio: "inherit",
  });
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
