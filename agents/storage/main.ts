import { hostname } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../shared/clock.js";
import type { Config } from "../../shared/config.js";
import type { Log } from "../../shared/log.js";
import { storageAgentMethods } from "../../shared/methods/agent-methods.js";
import { dataAddresses } from "../../shared/own-addresses.js";
import { resolveName } from "../../shared/resolve-name.js";
import { FailureTarget } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { createAgentDoor } from "../common/agent-door.js";
import { type Agent, runAgent, takeStateFolder } from "../common/agent-process.js";
import { Events } from "../common/events.js";
import { Identity } from "../common/identity.js";
import { createManagerClient } from "../common/manager-client.js";
import { machineBoot } from "../common/process-record.js";
import { startReporter } from "../common/reporter.js";
import { AccessFiles } from "./access-files.js";
import { DiskReaders } from "./disk-readers.js";
import { DiskRecords } from "./disk-records.js";
import { FailedDisks } from "./failed-disks.js";
import { Grants } from "./grants.js";
import { Inventory } from "./inventory.js";
import { createStorageMethods } from "./methods.js";
import { openExports } from "./open-exports.js";
import { createRegistration } from "./register.js";
import { Scrubber } from "./scrub.js";
import { ScrubRecords } from "./scrub-records.js";
import { Shredder } from "./shred.js";
import { ZeroingTools } from "./zeroing-tools.js";

/** The control process of a storage server. Its export processes outlive it. */
async function startStorageAgent(config: Config, log: Log): Promise<Agent> {
  const { port, state_dir: folder, disks: paths, force, zone, boot_id } = config.ssvr_agent;
  const { shred_rate_mb, shred_verify, scrub_interval, scrub_rate_mb } = config.ssvr_agent;
  const { host_list, port: managerPort, agent_timeout } = config.storage_manager;
  const listen = await dataAddresses(config.ssvr_agent.listen, hostname(), resolveName);
  const bootId = boot_id === "" ? machineBoot() : boot_id;

  const lock = await takeStateFolder(folder);
  const identity = await Identity.load(join(folder, "identity.json"));
  const records = await DiskRecords.load(join(folder, "disks.json"));
  const tools = await ZeroingTools.open(join(folder, "tools"));
  const scrubs = await ScrubRecords.open(join(folder, "scrubs"), log);
  await tools.endLeftOvers(log);
  const enforce = async (pdskid: number, lvolid?: number): Promise<void> => {
    await tools.endLeftOver(pdskid);
    await exports.enforce(pdskid, lvolid);
  };
  const managers = host_list.map((host) => ({ host, port: managerPort }));
  const manager = createManagerClient({ managers, timeoutMs: agent_timeout * 1000 });
  const failed = new FailedDisks({
    report: (targetid, signal) =>
      manager.call("notifyFailure", { target: FailureTarget.PDSK, targetid }, { signal }),
    clock: systemClock,
    log,
  });
  const grants = await Grants.load(await AccessFiles.open(folder), enforce);
  const exports = await openExports({
    config,
    addresses: listen,
    bootId,
    grantsOf: (pdskid) => grants.documentFor(pdskid),
    onDiskFailed: (pdskid) => failed.note(pdskid),
    log,
  });
  const cluster = (): string | undefined => identity.cluster;
  const endShreds = async (pdskid: number): Promise<void> => {
    await shredder.end(pdskid);
    await tools.endLeftOver(pdskid);
  };
  const inventory = new Inventory({
    paths,
    force,
    records,
    grants,
    exports,
    endShreds,
    cluster,
    log,
  });
  const shredder = new Shredder({
    grants,
    openDisk: (pdskid) => inventory.openServed(pdskid),
    drain: enforce,
    recordTool: (pdskid, pid) => tools.record(pdskid, pid),
    bytesPerSecond: shred_rate_mb * MIB,
    verify: shred_verify,
    clock: systemClock,
  });
  const readers = new DiskReaders({
    served: () => inventory.served,
    cluster,
    entry: join(import.meta.dirname, "disk-reader-main.js"),
    bytesPerSecond: scrub_rate_mb * MIB,
    clock: systemClock,
  });
  const events = new Events(log);

  // Disks that we know are served before the manager is heard of: heads may be waiting for them.
  if (identity.cluster !== undefined) await inventory.scan();
  await exports.endStrangers();

  const handlers = createStorageMethods({ inventory, grants, shredder, readers, events, log });
  const door = createAgentDoor({ methods: storageAgentMethods, handlers, identity, log });
  const bound = await door.listen(listen, port);
  const register = createRegistration({
    manager,
    identity,
    inventory,
    records,
    addresses: listen,
    port: bound[0]?.port ?? port,
    exports,
    bootId,
    zone,
    force,
    log,
  });
  const reporter = startReporter({ register, log });
  const scrubber = new Scrubber({
    disks: () => readers.all(),
    records: scrubs,
    report: (pdskid, blocks, signal) =>
      manager.call("notifyBadBlocks", { pdskid, blocks: [...blocks] }, { signal }),
    intervalMs: scrub_interval * 1000,
    clock: systemClock,
    log,
  });

  return {
    stop: async (ending) => {
      manager.close();
      // First: a scrub waits for its reader.
      readers.end();
      await Promise.all([reporter.stop(), scrubber.stop(), failed.stop()]);
      await door.close(1000);
      await Promise.all([shredder.stop(), events.stop()]);
      if (ending === "all") await exports.stopAll();
      exports.release();
      await lock.close();
    },
  };
}

await runAgent("vas-storage-agent", { argv: process.argv.slice(2), env: process.env }, startStorageAgent);
