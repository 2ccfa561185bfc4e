import { readFileSync } from "node:fs";
import { z } from "zod";
import { volumeNode } from "../../../shared/layout-tree.js";
import { describeIssue, wireCounter } from "../../../shared/wire-types.js";

const address = z.object({ host: z.string(), port: z.number().int().min(0).max(65_535) });

/** What a volume process is told at its start. */
export const volumeSpec = z.object({
  lvolstruct: volumeNode,
  epoch: wireCounter,
  /** No client can open the volume: its copies are brought in sync, and that is all. */
  maintenance: z.boolean().default(false),
  /** Number of this start of a process for the volume, higher than all before. */
  incarnation: z.number().int().min(0).max(0x7fff_ffff),
  managers: z.array(address).min(1),
  memberTimeoutMs: z.number().positive(),
  /** How long the copy-on-write space of a snapshot may be without success before the snapshot is given up. */
  snapshotTimeoutMs: z.number().positive().default(30_000),
  /** The volume's socket: `<run_dir>/lvol-%08x`. */
  socket: z.string().min(1),
  /** A link to it: `<run_dir>/<lvolname>`. */
  nameLink: z.string().min(1),
  /** Where to serve it over TCP as well. */
  tcp: address.nullable(),
  controlSocket: z.string().min(1),
  logFormat: z.enum(["json", "pretty"]).default("json"),
  logLevel: z.string().default("info"),
});
export type VolumeSpec = z.infer<typeof volumeSpec>;

/** @throws Error with a sentence if the file can't be read or is no such spec */
export function readSpec(path: string): VolumeSpec {
  const parsed = volumeSpec.safeParse(JSON.parse(readFileSync(path, "utf8")));
  if (!parsed.success) throw new Error(`${path}: ${describeIssue(parsed.error)}`);
  return parsed.data;
}
