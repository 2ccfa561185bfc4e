import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { checkCluster } from "../../manager/operations/check-cluster.js";
import { claimJobs } from "../../manager/operations/claim-jobs.js";
import { Executor } from "../../manager/operations/operation.js";
import { registerHeadServer } from "../../manager/operations/register-head-server.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import { beginShreds, finishShred, readShred } from "../../manager/operations/shred-extent.js";
import type { JobKind, JobRow } from "../../manager/store/jobs.js";
import { openStore, type Store } from "../../manager/store/open-store.js";
import { type Config, loadConfig } from "../../shared/config.js";
import { EXTENT_UNIT_BYTES, LABEL_ROOM_BYTES, SECTOR_BYTES } from "../../shared/units.js";

const SERIAL = 7;

/** A state store in a folder of its own, and the operations on it: all of the manager that needs no agent. */
export class State {
  now = 1_000_000;
  /** Jobs that were claimed, as the runner would know them. */
  readonly claimed = new Set<number>();

  private constructor(
    readonly store: Store,
    readonly executor: Executor,
    readonly close: () => Promise<void>,
    private readonly settings: Partial<Config["storage_manager"]>,
    private readonly folder: string,
  ) {}

  static async open(settings: Partial<Config["storage_manager"]> = {}): Promise<State> {
    const folder = await mkdtemp(join(tmpdir(), "vas-operations-"));
    return State.openAt(folder, settings);
  }

  private static async openAt(folder: string, settings: Partial<Config["storage_manager"]>): Promise<State> {
    const store = await openStore(join(folder, "manager.db"));
    const close = async (): Promise<void> => {
      await store.close();
      await rm(folder, { recursive: true, force: true });
    };
    onTestFinished(close);
    const clock = { now: (): number => state.now, monotonic: (): number => state.now };
    const config = { ...loadConfig(undefined, {}).storage_manager, ...settings };
    const executor = new Executor(store, clock, SERIAL, config, () => undefined);
    const state: State = new State(store, executor, close, settings, folder);
    return state;
  }

  /** The same state, as the next manager finds it. */
  async restart(): Promise<State> {
    await this.store.close();
    const next = await State.openAt(this.folder, this.settings);
    next.now = this.now;
    return next;
  }

  get run(): Executor["run"] {
    return this.executor.run.bind(this.executor);
  }

  async findings(): Promise<string[]> {
    return this.run(checkCluster, {});
  }

  async addHead(number: number): Promise<number> {
    return this.run(registerHeadServer, {
      ip_data: [`10.1.0.${number}`],
      boot_id: `boot ${number}`,
      running: [],
    });
  }

  /** A storage server with one disk of so many usable GB, all of it shredded. */
  async addServer(number: number, gigabytes: number): Promise<{ ssvrid: number; pdskid: number }> {
    const ssvrid = await this.run(registerStorageServer, {
      ip_data: [`10.2.0.${number}`],
      boot_id: `boot ${number}`,
    });
    const pdskid = await this.run(registerPhysicalDisk, {
      ssvrid,
      local_path: "/dev/sdb",
      capacity: sectorsOf(gigabytes),
    });
    await this.finishShreds();
    return { ssvrid, pdskid };
  }

  /** Takes the jobs that may start now, as the runner does. */
  async claim(kind: JobKind): Promise<JobRow[]> {
    return (await this.claimAll()).filter((job) => job.kind === kind);
  }

  async claimAll(): Promise<readonly JobRow[]> {
    // Whoever put its job back has ended.
    const waiting = await this.store.db.selectFrom("job").select("jobid").where("status", "=", 1).execute();
    for (const { jobid } of waiting) this.claimed.delete(jobid);
    const { jobs } = await this.run(claimJobs, { running: this.claimed });
    for (const { jobid } of jobs) this.claimed.add(jobid);
    return jobs;
  }

  /** Plays the agents' part of every shred that is due, until none is left. */
  async finishShreds(): Promise<void> {
    for (;;) {
      await this.run(beginShreds, {});
      const jobs = await this.claim("shred");
      if (jobs.length === 0) return;
      for (const { jobid, subject: dextid } of jobs) {
        const plan = await this.run(readShred, { dextid });
        if (plan !== undefined) await this.run(finishShred, { jobid, dextid, generation: plan.generation });
      }
    }
  }
}

/** The size of a disk with exactly so many usable GB, as registerPhysicalDisk takes it. */
export function sectorsOf(gigabytes: number): string {
  return String((gigabytes * EXTENT_UNIT_BYTES + LABEL_ROOM_BYTES) / SECTOR_BYTES);
}
