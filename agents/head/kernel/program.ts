import { join } from "node:path";
import { ownerTag } from "../../../shared/iscsi-names.js";
import { listDevices } from "../../common/device-mapper.js";
import { runProgram } from "../../common/run-program.js";
import type { VolumeRemains } from "../volume-process.js";
import { writeMdadmConfig } from "./md.js";
import { VolumeNames } from "./names.js";
import { takeDown } from "./take-down.js";

/** Where users find volumes. */
const DEVICE_FOLDER = "/dev/vas";
const MODULES = ["dm_mod", "dm_multipath", "dm_round_robin", "dm_snapshot", "raid1", "iscsi_tcp", "sd_mod"];

/** What volumes of the kernel's parts need, besides what all volumes do. */
export interface KernelProgram {
  readonly entry: string;
  /** Members of the spec of each volume process. */
  readonly spec: Readonly<Record<string, unknown>>;
  readonly remains: VolumeRemains;
}

/**
 * Makes this machine fit for volumes of the kernel's parts.
 *
 * @param entry the compiled entry of the volume process
 * @param stateFolder of the agent: what is made for its volumes is named after it
 * @throws ProgramError if the kernel lacks a part
 */
export async function openKernelProgram(
  entry: string,
  stateFolder: string,
  runDir: string,
): Promise<KernelProgram> {
  await runProgram("modprobe", ["-a", ...MODULES]);
  const mdadmConfig = join(runDir, "mdadm.conf");
  await writeMdadmConfig(mdadmConfig);
  const owner = ownerTag(stateFolder);
  return {
    entry,
    spec: { owner, deviceFolder: DEVICE_FOLDER, mdadmConfig },
    remains: {
      isThere: async (lvolid) => {
        const { top } = new VolumeNames(owner, lvolid);
        return (await listDevices(top)).some(({ name }) => name === top);
      },
      takeDown: (lvolid, epoch) =>
        takeDown({ names: new VolumeNames(owner, lvolid), epoch, folder: DEVICE_FOLDER }),
    },
  };
}
