#!/usr/bin/env node
import { showVolume } from "../../shared/ids.js";
import { nameParameter, numberParameter } from "./parameter.js";
import { runOriginal } from "./run-original.js";

const redundancyParameter = numberParameter("redundancy", "a number of copies");

await runOriginal(process, {
  name: "lvol_create",
  options: { redundancy: { ...redundancyParameter, name: "N" } },
  parameters: [nameParameter("lvolname"), numberParameter("capacity", "a whole number of GB")],
  call: async (manager, [lvolname, capacity], { redundancy }) => {
    const copies = typeof redundancy === "number" ? { redundancy } : {};
    return [showVolume(await manager.call("createLogicalVolume", { lvolname, capacity, ...copies }))];
  },
});
