#!/usr/bin/env node
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "shutdownAll",
  parameters: [],
  call: async (manager) => {
    await manager.call("shutdownAll", {});
    return [];
  },
});
