import { execFile } from "node:child_process";
import { VasError } from "../../../shared/errors.js";
import { showExtent, showMirror } from "../../../shared/ids.js";
import {
  METADATA_BYTES_PER_GB,
  MIB,
  type Milliseconds,
  REGION_BYTES,
  REGIONS_PER_GB,
} from "../../../shared/units.js";
import { devicePath } from "../../common/device-mapper.js";
import { alike, type Copies, firstDifference, type RegionDifference } from "../region-difference.js";
import { holdWrites } from "./md.js";
import type { Mirror } from "./mirror.js";

const READ_MS: Milliseconds = 30_000;

/**
 * Compares regions of all INSYNC members, byte by byte, as they are on their disks, while nobody writes there: md holds writes to
 * a region for as long as it is compared.
 *
 * @returns the first difference of each region that has one
 * @throws VasError EAGAIN if that can't be had now: fewer than two members, or one that can't be read; EINVAL
 */
export async function compareRegions(
  mirror: Mirror,
  regions: readonly number[],
): Promise<RegionDifference[]> {
  const differences: RegionDifference[] = [];
  for (const region of regions) {
    if (region >= mirror.node.capacity * REGIONS_PER_GB)
      throw new VasError("EINVAL", `${showMirror(mirror.mirrorid)} has no region ${region}`);
    const found = await readAll(mirror, region);
    const byte = firstDifference(found);
    if (byte !== undefined) differences.push({ region, byte, copies: alike(found) });
  }
  return differences;
}

async function readAll(mirror: Mirror, region: number): Promise<Copies> {
  const members = mirror.members.filter(({ state }) => state === "insync");
  if (members.length < 2) throw new VasError("EAGAIN", `${showMirror(mirror.mirrorid)} has one copy in sync`);
  const at = (mirror.node.capacity * METADATA_BYTES_PER_GB + region * REGION_BYTES) / MIB;
  const reading = (): Promise<(readonly [number, Buffer])[]> =>
    Promise.all(
      members.map(
        async ({ dextid }) => [dextid, await readDirect(mirror.deviceOf(dextid), at, dextid)] as const,
      ),
    );
  return new Map(await holdWrites(mirror.name, region * REGION_BYTES, REGION_BYTES, reading));
}

/** A region of a device, past all caches of this machine. By a process of its own: it may hang, and is then left behind. */
function readDirect(device: string, megabyte: number, dextid: number): Promise<Buffer> {
  const args = [`if=${devicePath(device)}`, "bs=1M", `skip=${megabyte}`, `count=${REGION_BYTES / MIB}`];
  return new Promise((resolve, reject) => {
    execFile(
      "dd",
      [...args, "iflag=direct", "status=none"],
      { encoding: "buffer", maxBuffer: 2 * REGION_BYTES, timeout: READ_MS, killSignal: "SIGKILL" },
      (cause, data) => {
        if (cause === null && data.length === REGION_BYTES) resolve(data);
        else reject(new VasError("EAGAIN", `${showExtent(dextid)} can't be read`, { cause }));
      },
    );
  });
}
