#!/usr/bin/env node
import { volumeParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "lvol_detach",
  parameters: [volumeParameter],
  call: async (manager, [volume]) => {
    await manager.call("detachLogicalVolume", volume);
    return [];
  },
});
