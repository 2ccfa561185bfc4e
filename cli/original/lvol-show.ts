#!/usr/bin/env node
import { formatLayout } from "./format-layout.js";
import { volumeParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "lvol_show",
  parameters: [volumeParameter],
  call: async (manager, [volume]) => formatLayout(await manager.call("showLogicalVolume", volume)),
});
