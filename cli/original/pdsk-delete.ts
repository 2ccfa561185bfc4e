#!/usr/bin/env node
import { idParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "pdsk_delete",
  parameters: [idParameter("pdsk")],
  call: async (manager, [pdskid]) => {
    await manager.call("deletePhysicalDisk", { pdskid });
    return [];
  },
});
