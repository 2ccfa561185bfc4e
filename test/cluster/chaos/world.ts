import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { confPath, renderConf } from "../../../cli/local/server.js";
import type { TestCluster } from "../../harness/cluster.js";
import type { SmallFileSystem } from "../../harness/full-disk.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { ChaosDisk } from "./disks.js";
import type { Random } from "./random.js";
import type { VolumeUser } from "./user.js";

/** For so long after a disk failed, or seemed to, a last good copy may be refused. */
const FAILURE_ECHO_MS = 90_000;

/** A process that was started answers within this, or has ended, or what it needs is under a fault. */
const STARTED_MS = 3000;
/** Between two starts. */
const RESTART_MS = 500;

/** What faults act on. What is under one fault is left alone by the others until that one is over. */
export interface World {
  readonly cluster: TestCluster;
  readonly users: readonly VolumeUser[];
  readonly disks: readonly ChaosDisk[];
  /** Of the manager's database. */
  readonly managerSpace: SmallFileSystem;
  /** Of a disk, and of its storage server's state. */
  readonly storageSpace: { readonly server: TestServer; readonly space: SmallFileSystem };
  readonly busy: Set<unknown>;
  readonly note: (text: string) => void;
  readonly failures: Failures;
}

/** What an export says when it begins another life of its disk, although that has not failed. */
const DIED_IN_FLUSH = /^\[([\d:.]+)\].*died while the disk did not answer a flush/gm;
const DAY_MS = 86_400_000;

/** Whether volumes may answer that their disks have failed. */
export class Failures {
  #until = 0;

  constructor(private readonly cluster: TestCluster) {}

  /** A disk fails, or a storage server seems to lose what was not flushed. */
  readonly expect = (): void => {
    this.#until = performance.now() + FAILURE_ECHO_MS;
  };
  readonly mayBe = (): boolean => performance.now() < this.#until || this.#hasDiedInFlush();

  /** An export that was killed, and started again no earlier than a disk takes to fail, counts its disk as failed. */
  #hasDiedInFlush(): boolean {
    const midnight = new Date().setUTCHours(0, 0, 0, 0);
    const agoMs = (time: string): number => {
      const [hours = 0, minutes = 0, seconds = 0] = time.split(":").map(Number);
      return (Date.now() - midnight - ((hours * 60 + minutes) * 60 + seconds) * 1000 + DAY_MS) % DAY_MS;
    };
    return this.cluster.storage
      .flatMap(({ plan }) => exportLogs(join(plan.folder, "state", "exports")))
      .flatMap((log) => [...log.matchAll(DIED_IN_FLUSH)])
      .some(([, time = ""]) => agoMs(time) < FAILURE_ECHO_MS);
  }
}

function exportLogs(folder: string): string[] {
  const logs = readdirSync(folder).filter((name) => name.endsWith(".log"));
  return logs.map((name) => readFileSync(join(folder, name), "latin1"));
}

/** A fault under way: takes what it needs at once, and resolves when all that it did is undone. */
export type Course = Promise<void>;

export interface Fault {
  readonly name: string;
  readonly weight: number;
  /** It takes minutes, and does not keep others from beginning. */
  readonly isLong?: boolean;
  /** @returns undefined if it is not possible now: what it needs is under another fault */
  readonly begin: (world: World, random: Random) => Course | undefined;
}

/** Of the harness: the configured member_timeout is 2 s, replace_after 6 s. */
export const SHORT = [200, 1500] as const;
export const LONG = [2500, 9000] as const;

export function duration(random: Random): number {
  return random.chance(0.6) ? random.between(...SHORT) : random.between(...LONG);
}

interface Kind<T> {
  readonly name: string;
  readonly weight: number;
  readonly isLong?: boolean;
  readonly things: (world: World) => readonly T[];
  /** How it is called in the notes. */
  readonly nameOf: (thing: T) => string;
}

/** A fault of one thing of a kind. */
export function faultOf<T>(
  { things, nameOf, ...kind }: Kind<T>,
  work: (thing: T, world: World, random: Random) => Promise<void>,
): Fault {
  const begin = (world: World, random: Random): Course | undefined => {
    const thing = random.pick(things(world).filter((candidate) => !world.busy.has(candidate)));
    return (
      thing && during(world, [thing], `${kind.name}: ${nameOf(thing)}`, () => work(thing, world, random))
    );
  };
  return { ...kind, begin };
}

/** Takes things, does the work, and lets them go. */
export async function during(
  world: World,
  things: readonly unknown[],
  what: string,
  work: () => Promise<void>,
): Course {
  for (const thing of things) world.busy.add(thing);
  world.note(`fault ${what}`);
  try {
    await work();
    world.note(`over  ${what}`);
  } finally {
    for (const thing of things) world.busy.delete(thing);
  }
}

export const storage = ({ cluster }: World): readonly TestServer[] => cluster.storage;
export const heads = ({ cluster }: World): readonly TestServer[] => cluster.heads;
export const manager = ({ cluster }: World): readonly TestServer[] => [cluster.manager];

export function ofServer(
  name: string,
  weight: number,
  things: (world: World) => readonly TestServer[],
  work: (server: TestServer, world: World, random: Random) => Promise<void>,
): Fault {
  return faultOf({ name, weight, things, nameOf: ({ plan }) => plan.name }, work);
}

/**
 * Starts the control process if none lives, and waits until it answers. One that ends at its start, as where its disk is full,
 * is started again, as its service manager would.
 */
export async function bringUp(server: TestServer, cluster: TestCluster): Promise<void> {
  server.thaw();
  await waitUntil(`${server.plan.name} answers`, async () => {
    if (server.control().length === 0) server.up();
    const answers = server === cluster.manager ? cluster.status() : server.waitUntilAnswers(STARTED_MS);
    return answers.then(
      () => true,
      async () => {
        await pause(RESTART_MS);
        return false;
      },
    );
  });
}

/** Kills the control process, if it lives, and starts it anew: it registers as one that starts. */
export async function restartControl(server: TestServer, world: World): Promise<void> {
  server.thaw();
  await server.killControl();
  await bringUp(server, world.cluster);
}

/** From its next start on the server is one that was booted anew. */
export function giveBootId({ plan }: TestServer, random: Random): void {
  const section = plan.kind === "head" ? "hsvr_agent" : "ssvr_agent";
  const settings = { ...plan.conf[section], boot_id: `boot-${random.between(1, 1_000_000)}` };
  writeFileSync(confPath(plan), renderConf({ ...plan.conf, [section]: settings }));
}

export function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {
      // It has ended meanwhile.
    }
  }
}
