import { createHash } from "node:crypto";
import {
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Gigabytes } from "../../shared/units.js";
import { type ClusterPlan, planCluster } from "./plan.js";
import { renderConf } from "./server.js";

/** What a local cluster was made with; kept in its folder, so that the next start finds the same servers again. */
export interface LocalCluster {
  readonly addresses: string;
  readonly storageServers: number;
  readonly headServers: number;
  readonly diskGb: Gigabytes;
}

/** Something is wrong with what the person asked for; the message says what to do. */
export class LocalClusterError extends Error {
  override readonly name = "LocalClusterError";
}

/** A socket's path has at most 107 bytes, and up to 64 of them are the volume's name. */
const LONGEST_RUN_DIR = 107 - 65;

const shortHash = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 12);
const recordPath = (folder: string): string => join(folder, "cluster.json");
/** What a client such as `vas` reads to find the manager. */
export const clientConfPath = (folder: string): string => join(folder, "vas.conf");

/** The folder that `--state` names, in the one form by which its processes are known. */
export function stateFolder(named: string): string {
  return existsSync(named) ? realpathSync(named) : resolve(named);
}

/**
 * The path by which the servers know the folder: its own, or that of a link to it if sockets below it would have too
 * long paths, or if it holds what can't stand in a list of disks.
 */
export function shortFolder(folder: string): string {
  const fits = Buffer.byteLength(join(folder, "run", "head-1")) <= LONGEST_RUN_DIR;
  return fits && !/[\s,]/.test(folder) ? folder : join(tmpdir(), `vas-${shortHash(folder)}`);
}

function linkShortFolder(folder: string): void {
  const link = shortFolder(folder);
  if (link === folder) return;
  rmSync(link, { force: true });
  symlinkSync(folder, link);
}

/** Where the sockets of volumes are. */
export const runFolder = (folder: string): string => join(shortFolder(folder), "run");

/** How the servers of a folder's cluster are laid out. Its durations are short, so that healing can be watched. */
export function planLocalCluster(folder: string, cluster: LocalCluster): ClusterPlan {
  return planCluster({
    ...cluster,
    folder: shortFolder(folder),
    runFolder: runFolder(folder),
    disksPerServer: 1,
    logFormat: "pretty",
    manager: {
      server_check_interval: 3,
      server_check_retry: 1,
      replace_after: 20,
      reconcile_interval: 1,
      agent_timeout: 3,
    },
    storage: {},
    head: { member_timeout: 3 },
  });
}

/** @returns undefined if there is no cluster in this folder. */
export function readLocalCluster(folder: string): LocalCluster | undefined {
  if (!existsSync(recordPath(folder))) return undefined;
  return JSON.parse(readFileSync(recordPath(folder), "utf8")) as LocalCluster;
}

export function writeLocalCluster(folder: string, cluster: LocalCluster, plan: ClusterPlan): void {
  linkShortFolder(folder);
  writeFileSync(recordPath(folder), `${JSON.stringify(cluster, null, 2)}\n`);
  writeFileSync(clientConfPath(folder), renderConf(plan.clientConf));
}

/** Deletes a cluster's files and nothing else: the folder may have been named by mistake. */
export function eraseLocalCluster(folder: string): void {
  if (readLocalCluster(folder) === undefined) return;
  const ours = /^(manager|storage-\d+|head-\d+|run|vas\.conf|cluster\.json)$/;
  for (const name of readdirSync(folder).filter((entry) => ours.test(entry))) {
    rmSync(join(folder, name), { recursive: true, force: true });
  }
}

/**
 * Makes sure that one program at a time runs the cluster of a folder. The lock is a socket without a file, which the
 * kernel frees however its holder ends.
 *
 * @throws LocalClusterError if another one holds it.
 */
export async function lockFolder(folder: string): Promise<void> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once("listening", resolve).once("error", (error: NodeJS.ErrnoException) => {
      const taken = error.code === "EADDRINUSE";
      reject(
        taken
          ? new LocalClusterError(
              `a local cluster is running in ${folder} already; end it with Ctrl-C where it was started`,
            )
          : error,
      );
    });
    server.listen(`\0vastsky-local-${shortHash(folder)}`);
  });
  server.unref();
}
