import { z } from "zod";
import { wireInt } from "../../wire-types.js";

/** How calls name what they are about. */
const name = z.string({ error: "must be a string" });

/** Both ways to name a volume; with both the id is used. */
export const byVolume = {
  lvolid: wireInt.optional().describe("logical volume"),
  lvolname: name.optional().describe("its name, instead of the id; ignored if both are given"),
};

export const byOrigin = {
  origin_lvolid: wireInt.optional().describe("volume to take the snapshot of"),
  origin_lvolname: name.optional().describe("its name, instead of the id; ignored if both are given"),
};
