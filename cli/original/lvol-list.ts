#!/usr/bin/env node
import { formatVolumes } from "./format-volumes.js";
import { optional, volumeParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "lvol_list",
  parameters: [optional(volumeParameter)],
  call: async (manager, [volume]) => formatVolumes(await manager.call("listLogicalVolumes", volume ?? {})),
});
