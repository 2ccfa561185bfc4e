import { readFileSync } from "node:fs";
import { z } from "zod";
import { volumeNode } from "../../../shared/layout-tree.js";
import { chap } from "../../../shared/methods/agent-methods.js";
import { describeIssue, wireCounter } from "../../../shared/wire-types.js";

const address = z.object({ host: z.string(), port: z.number().int().min(0).max(65_535) });

/** What a volume process is told at its start. */
export const volumeSpec = z.object({
  lvolstruct: volumeNode,
  epoch: wireCounter,
  /** No user can open the volume: its copies are brought in sync, and that is all. */
  maintenance: z.boolean(),
  /** By which this head is known to storage servers. */
  chap: chap.optional(),
  managers: z.array(address).min(1),
  memberTimeoutMs: z.number().positive(),
  /** How long the copy-on-write space of a snapshot may be without success before the snapshot is given up. */
  snapshotTimeoutMs: z.number().positive(),
  /** Tells the agents of one machine apart, see `ownerTag`. */
  owner: z.string().regex(/^[0-9a-f]{8}$/),
  /** Where the links to the volume's devices are. */
  deviceFolder: z.string().min(1),
  /** Path of mdadm's configuration. */
  mdadmConfig: z.string().min(1),
  controlSocket: z.string().min(1),
  logFormat: z.enum(["json", "pretty"]),
  logLevel: z.string(),
});
export type VolumeSpec = z.infer<typeof volumeSpec>;

/** @throws Error with a sentence if the file can't be read or is no such spec */
export function readSpec(path: string): VolumeSpec {
  const parsed = volumeSpec.safeParse(JSON.parse(readFileSync(path, "utf8")));
  if (!parsed.success) throw new Error(`${path}: ${describeIssue(parsed.error)}`);
  return parsed.data;
}
