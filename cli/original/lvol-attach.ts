#!/usr/bin/env node
import { idParameter, volumeParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "lvol_attach",
  parameters: [volumeParameter, idParameter("hsvr")],
  call: async (manager, [volume, hsvrid]) => {
    await manager.call("attachLogicalVolume", { ...volume, hsvrid });
    return [];
  },
});
