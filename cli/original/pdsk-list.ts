#!/usr/bin/env node
import { formatDisks } from "./format-disks.js";
import { idParameter, optional } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "pdsk_list",
  parameters: [optional(idParameter("ssvr"))],
  call: async (manager, [ssvrid]) =>
    formatDisks(await manager.call("listPhysicalDisks", ssvrid === undefined ? {} : { ssvrid })),
});
