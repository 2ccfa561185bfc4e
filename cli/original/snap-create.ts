#!/usr/bin/env node
import { showVolume } from "../../shared/ids.js";
import { originArgument } from "../commands/arguments.js";
import { nameParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

await runOriginal(process, {
  name: "snap_create",
  parameters: [{ name: "origin_lvol", parse: originArgument }, nameParameter("snapshot_lvolname")],
  call: async (manager, [origin, snapshot_lvolname]) => {
    return [showVolume(await manager.call("createSnapshot", { ...origin, snapshot_lvolname }))];
  },
});
