import { execFileSync } from "node:child_process";
import { closeSync, openSync, rmSync, statfsSync, writeSync } from "node:fs";
import { join } from "node:path";
import type { Bytes } from "../../shared/units.js";
import { makeMountPoint } from "./mount-points.js";
import { requireRoot } from "./require-root.js";

/** A file system with a bound, gone when the test ends. The file of a disk in it can promise more than there is room for. */
export class SmallFileSystem {
  readonly folder: string;

  constructor(private readonly size: Bytes) {
    requireRoot("a small file system");
    this.folder = makeMountPoint();
    execFileSync("mount", ["-t", "tmpfs", "-o", `size=${size}`, "vas-test", this.folder]);
  }

  /** Takes all room that is left, to the last byte. */
  fill(): void {
    const file = openSync(this.#filler, "a");
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

  /** Gives the room back. */
  empty(): void {
    rmSync(this.#filler, { force: true });
  }

  /**
   * Leaves no room without writing anything: for a file system that is too large to be filled.
   *
   * @throws Error if something was written just then
   */
  squeeze(): void {
    const { blocks, bfree, bsize } = statfsSync(this.folder);
    this.#resize((blocks - bfree) * bsize);
  }

  /** It is as large as it was made. */
  unsqueeze(): void {
    this.#resize(this.size);
  }

  #resize(size: Bytes): void {
    execFileSync("mount", ["-o", `remount,size=${size}`, this.folder], { stdio: "ignore" });
  }

  get #filler(): string {
    return join(this.folder, "filler");
  }
}
