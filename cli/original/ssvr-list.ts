#!/usr/bin/env node
import { formatStorageServers } from "./format-servers.js";
import { idParameter, optional } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "ssvr_list",
  parameters: [optional(idParameter("ssvr"))],
  call: async (manager, [ssvrid]) =>
    formatStorageServers(await manager.call("listStorageServers", ssvrid === undefined ? {} : { ssvrid })),
});
