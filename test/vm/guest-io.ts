import { waitUntil } from "../harness/wait-until.js";
import type { Machine } from "./machine.js";

/** A sector of 512 bytes of a block device. */
export interface Place {
  readonly device: string;
  readonly sector: number;
}

/** Writes a line past the page cache. @returns what dd ended with */
export async function tryWrite(machine: Machine, { device, sector }: Place, line: string): Promise<number> {
  const { code } = await machine.try(`
    set -o pipefail
    printf '%-512s' '${line}' |
      dd of=${device} bs=512 count=1 seek=${sector} iflag=fullblock oflag=direct conv=notrunc status=none`);
  return code;
}

export async function write(machine: Machine, place: Place, line: string): Promise<void> {
  const code = await tryWrite(machine, place, line);
  if (code !== 0) throw new Error(`"${line}" could not be written to sector ${place.sector}`);
}

/** The line that stands there, read past the page cache; empty if there are zeros. */
export async function read(machine: Machine, { device, sector }: Place): Promise<string> {
  const dd = `dd if=${device} bs=512 count=1 skip=${sector} iflag=direct status=none`;
  return (await machine.run(`set -o pipefail; ${dd} | tr -d '\\0'`)).trim();
}

/**
 * Begins random writes of 4 KiB to 16 MiB, many at a time, until one fails.
 *
 * @param options fio's, besides
 */
export async function beginWrites(machine: Machine, { device, sector }: Place, options = ""): Promise<void> {
  const job = `--filename=${device} --offset=${sector * 512} --size=16m --rw=randwrite --bs=4k --refill_buffers`;
  const engine = "--ioengine=libaio --direct=1 --iodepth=16 --time_based --runtime=3600";
  await machine.run(`
    rm -f /tmp/writes.*
    (fio --name=writes ${job} ${engine} ${options}; echo $? >/tmp/writes.code) </dev/null >/tmp/writes.log 2>&1 &`);
}

export async function stopWrites(machine: Machine): Promise<void> {
  await machine.run("pkill -INT fio");
  await waitUntil("the writes have ended", async () => (await endOfWrites(machine)) !== undefined);
}

/** What they ended with; undefined while they go on. */
export async function endOfWrites(machine: Machine): Promise<number | undefined> {
  const text = (await machine.run("cat /tmp/writes.code 2>/dev/null || true")).trim();
  return text === "" ? undefined : Number(text);
}

/** How many requests of a kind a block device has served; see the kernel's documentation of `stat`. */
export async function served(machine: Machine, device: string, kind: "writes" | "flushes"): Promise<number> {
  const field = { writes: 5, flushes: 16 }[kind];
  const file = `/sys/class/block/$(basename $(readlink -f ${device}))/stat`;
  return Number(await machine.run(`awk '{print $${field}}' ${file}`));
}

/** SHA-256 of MiBs of a block device, read past the page cache. */
export async function digest(machine: Machine, { device, sector }: Place, mib: number): Promise<string> {
  const dd = `dd if=${device} bs=1M skip=${sector * 512}B count=${mib} iflag=direct status=none`;
  return (await machine.run(`set -o pipefail; ${dd} | sha256sum`)).slice(0, 64);
}
