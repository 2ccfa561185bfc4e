import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { z } from "zod";
import { describeError } from "../../../shared/errors.js";
import { showDisk } from "../../../shared/ids.js";
import { createLog } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import { describeIssue, portNumber, wireCounter, wireId } from "../../../shared/wire-types.js";
import { type ControlServer, serveControl } from "../../common/control-socket.js";
import { readDurable } from "../../common/durable-file.js";
import { NbdErrno } from "../../common/nbd/protocol.js";
import { createNbdServer, type NbdServer } from "../../common/nbd/server.js";
import { DiskIo } from "./disk-io.js";
import { DISK_FAILED, DISK_FULL, endLife, forgetCache, lifeOf, SyncMark } from "./disk-life.js";
import { GrantTable } from "./grant-table.js";
import { GrantedDisk } from "./granted-disk.js";

/** `node export-main.js SPECFILE`: serves one disk, and outlives the agent that started it. */
const specDocument = z.object({
  pdskid: wireId,
  path: z.string(),
  /** Size of the disk, in bytes. */
  bytes: wireCounter,
  addresses: z.array(z.string()).min(1),
  port: portNumber,
  bootId: z.string(),
  controlSocket: z.string(),
  /** The grants at the start, before the first `setGrants`. */
  grantsFile: z.string(),
  logFormat: z.enum(["json", "pretty"]),
  logLevel: z.string(),
});
export type ExportSpec = z.infer<typeof specDocument>;

const MAX_CONNECTIONS = 1024;
const CLOSE_MS: Milliseconds = 2_000;
const LINGER_MS: Milliseconds = 50;

function readSpec(path: string | undefined): ExportSpec {
  if (path === undefined) throw new Error("usage: node export-main.js SPECFILE");
  const parsed = specDocument.safeParse(JSON.parse(readFileSync(path, "utf8")));
  if (!parsed.success) throw new Error(`${path}: ${describeIssue(parsed.error)}`);
  return parsed.data;
}

/** A file with a checksum is held to it; a plain one is taken as it is. @throws if there is none: all would be refused */
async function readGrants(path: string): Promise<GrantTable> {
  const text = readFileSync(path, "utf8");
  return new GrantTable(text.startsWith('{"crc32":') ? await readDurable(path) : JSON.parse(text));
}

async function listen(server: NbdServer, spec: ExportSpec): Promise<void> {
  for (const address of spec.addresses) {
    try {
      await server.listenTcp(address, spec.port);
    } catch (cause) {
      throw new Error(`port ${spec.port} of ${address} can't be used: ${describeError(cause)}`, { cause });
    }
  }
}

async function main(): Promise<void> {
  const spec = readSpec(process.argv[2]);
  const log = createLog(`export ${showDisk(spec.pdskid)}`, spec.logFormat, spec.logLevel);
  const grants = await readGrants(spec.grantsFile);
  const stateFile = (kind: string): string =>
    join(dirname(spec.grantsFile), `${showDisk(spec.pdskid)}.${kind}`);
  const lifeFile = stateFile("life");
  const syncMark = new SyncMark(stateFile("sync"));
  if (syncMark.wasUnheard()) {
    log.warn({ path: spec.path }, "the last export died while the disk did not answer a flush");
    endLife(lifeFile);
  }
  syncMark.clear();
  const life = lifeOf(spec.bootId, lifeFile);
  if (existsSync(lifeFile)) forgetCache(spec.path);
  const onBroken = (errno: number): void => {
    try {
      endLife(lifeFile);
    } catch (error) {
      // Nobody would notice another life, so this process stays, and answers EIO.
      log.fatal({ err: error, path: spec.path }, "the disk failed a write or a flush, which can't be noted");
      return;
    }
    log.error(
      { path: spec.path, errno },
      "the disk failed a write or a flush: its export ends, to be started anew",
    );
    // What was answered goes out first.
    setTimeout(() => process.exit(errno === NbdErrno.EIO ? DISK_FAILED : DISK_FULL), LINGER_MS);
  };
  const disk = new DiskIo(spec.path, spec.bytes, { onBroken, syncMark });
  const granted = new GrantedDisk({ ...spec, life, disk, grants });
  const server = createNbdServer({
    open: async (name, peer) => {
      const opened = granted.open(name, peer);
      if ("refuse" in opened) log.warn({ name, remote: peer.remote }, opened.message);
      return opened;
    },
    // The names depend on who may use them.
    list: () => [],
    maxConnections: MAX_CONNECTIONS,
  });
  await listen(server, spec);

  let control: ControlServer | undefined;
  const stop = async (): Promise<void> => {
    await server.close(CLOSE_MS);
    await control?.close();
    disk.close();
    log.info("stopped");
    process.exit(0);
  };
  const fail = (error: unknown): void => {
    log.fatal({ err: error }, "can't stop in order");
    process.exit(1);
  };
  // Last, so that whoever is answered `status` knows that the disk is served.
  control = await serveControl(spec.controlSocket, {
    status: async () => ({
      pid: process.pid,
      pdskid: spec.pdskid,
      connections: granted.connections(),
      broken: disk.broken,
    }),
    setGrants: async (params) => {
      granted.setGrants(new GrantTable(params));
      return {};
    },
    stop: async () => {
      // The answer is written in this turn.
      setImmediate(() => stop().catch(fail));
      return {};
    },
  });
  process.on("SIGHUP", () => undefined);
  process.once("SIGTERM", () => stop().catch(fail));
  log.info({ path: spec.path, addresses: spec.addresses, port: spec.port }, "serving");
}

main().catch((error: unknown) => {
  process.stderr.write(`${describeError(error)}\n`);
  process.exit(1);
});
