#!/usr/bin/env node
import { formatHeadServers } from "./format-servers.js";
import { idParameter, optional } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "hsvr_list",
  parameters: [optional(idParameter("hsvr"))],
  call: async (manager, [hsvrid]) =>
    formatHeadServers(await manager.call("listHeadServers", hsvrid === undefined ? {} : { hsvrid })),
});
