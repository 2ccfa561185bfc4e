import type { Config } from "../../shared/config.js";
import { type Finding, ok } from "./finding.js";
import { checkHead } from "./head-checks.js";
import type { Host } from "./host.js";
import { checkDisks, checkStorage } from "./storage-checks.js";

export const roles = ["head", "storage", "both"] as const;
export type Role = (typeof roles)[number];

/** A host that offers disks is a storage server, any other a head server, unless it is said what it is. */
export const roleOf = (config: Config, said: Role | undefined): Role =>
  said ?? (config.ssvr_agent.disks.length > 0 ? "storage" : "head");

/** Everything that a host must have for its roles, as its configuration says. */
export async function examine(host: Host, config: Config, role: Role): Promise<Finding[]> {
  const findings: Finding[] = [];
  if (role !== "storage") {
    if (config.hsvr_agent.data_plane === "kernel") findings.push(...(await checkHead(host)));
    else findings.push(ok("head server", "the data plane nbd needs nothing of its host"));
  }
  if (role !== "head") {
    const { data_plane, disks } = config.ssvr_agent;
    const isKernel = data_plane === "kernel";
    if (isKernel) findings.push(...(await checkStorage(host, config.iscsi.port)));
    else findings.push(ok("storage server", "the data plane nbd needs nothing of its host but disks"));
    findings.push(...checkDisks(host, disks, isKernel));
  }
  // Both roles ask for some of the same.
  return [...new Map(findings.map((finding) => [finding.what, finding])).values()];
}
