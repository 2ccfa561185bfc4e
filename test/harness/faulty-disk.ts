import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, ftruncateSync, openSync, renameSync, writeFileSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";
import { diskFileBytes } from "../../cli/local/server.js";
import type { Bytes, Gigabytes, Milliseconds } from "../../shared/units.js";
import { makeMountPoint } from "./mount-points.js";
import { requireRoot } from "./require-root.js";
import { waitUntil } from "./wait-until.js";

const plugin = fileURLToPath(new URL("faulty-disk.py", import.meta.url));

/** An errno of the kernel; `EOPNOTSUPP` for `zeroes` is a disk that can't make holes. */
type Errno = "EIO" | "ENOSPC" | "EOPNOTSUPP";

/** What is wrong with a disk. What is left out works. */
export interface DiskFaults {
  readonly reads?: Errno;
  /** Reads of this byte of the disk answer EIO. */
  readonly unreadable?: Bytes;
  readonly writes?: Errno;
  readonly flushes?: Errno;
  /** Holes and zeroes made by command. */
  readonly zeroes?: Errno;
  /** Each request takes this much longer. */
  readonly delayMs?: Milliseconds;
  /** Requests get no answer at all until this is over. */
  readonly hangs?: boolean;
}

/**
 * A file to be used as a disk, served by nbdkit and mounted by nbdfuse, whose faults are switched on and off while it is
 * in use. Who uses it sees an ordinary file, and waits in the kernel for a disk that hangs, where no signal reaches it.
 */
export class FaultyDisk {
  private constructor(
    /** To be given to a storage server. */
    readonly path: string,
    /** What is on the disk, readable whatever the disk does. */
    readonly content: string,
    private readonly control: string,
  ) {}

  /** Makes a disk, which is gone when the test ends. To be made before the cluster that uses it, so that it ends later. */
  static async create(gigabytes: Gigabytes, faults: DiskFaults = {}): Promise<FaultyDisk> {
    requireRoot("a disk in user space");
    const folder = makeMountPoint();
    const content = join(folder, "content");
    const file = openSync(content, "wx");
    ftruncateSync(file, diskFileBytes(gigabytes));
    closeSync(file);

    const mountPoint = makeMountPoint();
    const disk = new FaultyDisk(join(mountPoint, "disk.img"), content, join(folder, "control"));
    disk.set(faults);
    const socket = join(folder, "socket");
    const parameters = [`file=${content}`, `control=${disk.control}`];
    startTool("nbdkit", ["--foreground", "--unix", socket, "python", plugin, ...parameters]);
    await waitUntil("nbdkit listens", () => existsSync(socket), 120_000);
    startTool("nbdfuse", [disk.path, "--unix", socket]);
    await waitUntil("the disk is mounted", () => existsSync(disk.path), 120_000);
    return disk;
  }

  /** From now on the disk has these faults, and no others. Requests that hang go on when hanging is over. */
  set(faults: DiskFaults): void {
    const { errno } = constants;
    const entries = {
      ...(faults.reads && { read: errno[faults.reads] }),
      ...(faults.unreadable !== undefined && { unreadable: faults.unreadable }),
      ...(faults.writes && { write: errno[faults.writes] }),
      ...(faults.flushes && { flush: errno[faults.flushes] }),
      ...(faults.zeroes && { zero: errno[faults.zeroes] }),
      ...(faults.delayMs && { delay: faults.delayMs / 1000 }),
      ...(faults.hangs && { hang: true }),
    };
    writeFileSync(`${this.control}.new`, JSON.stringify(entries));
    renameSync(`${this.control}.new`, this.control);
  }

  heal(): void {
    this.set({});
  }
}

/** Starts a program that ends with the test, and if the test process is killed, with that. */
function startTool(program: string, args: readonly string[]): ChildProcess {
  const child = spawn("setpriv", ["--pdeathsig", "KILL", program, ...args], { stdio: "ignore" });
  const ended = once(child, "exit");
  onTestFinished(async () => {
    child.kill("SIGKILL");
    await ended;
  });
  return child;
}
