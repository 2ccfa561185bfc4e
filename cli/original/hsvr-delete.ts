#!/usr/bin/env node
import { idParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "hsvr_delete",
  parameters: [idParameter("hsvr")],
  call: async (manager, [hsvrid]) => {
    await manager.call("deleteHeadServer", { hsvrid });
    return [];
  },
});
