#!/usr/bin/env node
import { idParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "ssvr_delete",
  parameters: [idParameter("ssvr")],
  call: async (manager, [ssvrid]) => {
    await manager.call("deleteStorageServer", { ssvrid });
    return [];
  },
});
