import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findProcesses, killAll, type LiveProcess } from "../../cli/local/processes.js";

/**
 * Every process of a test cluster carries the identity of the test process that started it. When that one was killed
 * before it could clean up, what it left is found by its tag and ended.
 */
export const OWNER_TAG = "VAS_TEST_OWNER";

/** Start time of a process in clock ticks since boot: with the pid it names a process for good. */
function startTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
    // The second field is the program's name in parentheses and may hold spaces; the state follows it as field 3, and
    // the start time is field 22.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return fields[0] === "Z" ? undefined : fields[22 - 3];
  } catch {
    return undefined;
  }
}

export const ownIdentity = (): string => `${process.pid}:${startTime(process.pid)}`;

const FOLDER_PREFIX = join(tmpdir(), "vas-");

/** A folder for a test cluster; short, since sockets lie below it. */
export const makeTestFolder = (): string => mkdtempSync(FOLDER_PREFIX);

const isTestFolder = (folder: string): boolean => folder.startsWith(FOLDER_PREFIX);

function isOrphan({ environment }: LiveProcess): boolean {
  const [pid, started] = environment.get(OWNER_TAG)?.split(":") ?? [];
  return pid !== undefined && startTime(Number(pid)) !== started;
}

/** Ends the processes of test clusters whose test process is gone, and removes their folders. */
export async function killOrphans(): Promise<void> {
  const find = (): LiveProcess[] => findProcesses((folder) => isTestFolder(dirname(folder))).filter(isOrphan);
  const clusters = new Set(find().map(({ folder }) => dirname(folder)));
  await killAll(find);
  for (const folder of clusters) rmSync(folder, { recursive: true, force: true });
}
