import type { z } from "zod";
import { describeError, VasError } from "../../shared/errors.js";
import { showVolume } from "../../shared/ids.js";
import { regionDifferences } from "../../shared/methods/agent-methods.js";
import type { Milliseconds } from "../../shared/units.js";
import type { AttachedVolume } from "./attached-volume.js";

const COMPARE_MS: Milliseconds = 60_000;

/**
 * Has the volume process compare regions of a mirror's members.
 *
 * @throws VasError as the volume process answers it; EAGAIN if it does not
 */
export async function compareRegions(
  volume: AttachedVolume,
  mirrorid: number,
  regions: readonly number[],
): Promise<z.infer<typeof regionDifferences>> {
  const { process } = volume;
  const shown = showVolume(volume.lvolid);
  if (process === undefined) throw new VasError("EAGAIN", `${shown} is being started again`);
  try {
    return regionDifferences.parse(await process.call("compareRegions", { mirrorid, regions }, COMPARE_MS));
  } catch (cause) {
    if (cause instanceof VasError) throw cause;
    throw new VasError("EAGAIN", `${shown}: ${describeError(cause)}`, { cause });
  }
}
