import { readdirSync, readFileSync } from "node:fs";
import SqliteDatabase from "better-sqlite3";
import { MIB } from "../../../shared/units.js";
import type { TestCluster } from "../../harness/cluster.js";
import type { VolumeUser } from "./user.js";
import type { World } from "./world.js";

/** What a run did, counted: by kind, by minute, and as the manager has recorded it. */

const MINUTE_MS = 60_000;
const SECOND_MS = 1000;
/** An hour of history, and of the manager's work, fits into less. */
const MOST_BYTES = 900 * MIB;
const MOST_FILES = 400;

interface Load {
  readonly bytes: number;
  readonly files: number;
}

export class Figures {
  readonly byKind = new Map<string, number>();
  /** Of attempts of each minute that were acknowledged; and of seconds and volumes with an acknowledged write. */
  readonly minutes: { readonly acknowledged: number; readonly inUse: number }[] = [];
  readonly worst = { own: { bytes: 0, files: 0 }, manager: { bytes: 0, files: 0 } };
  readonly #started = performance.now();
  #last = { begun: 0, acknowledged: 0, at: performance.now() };
  #acknowledged: number[] = [];
  #inUse = { seconds: 0, all: 0 };
  readonly #timers: NodeJS.Timeout[];

  constructor(
    private readonly world: World,
    private readonly say: (line: string) => void,
  ) {
    this.#timers = [
      setInterval(() => this.#second(), SECOND_MS),
      setInterval(() => this.#minute(), MINUTE_MS),
    ];
  }

  end(): void {
    for (const timer of this.#timers) clearInterval(timer);
  }

  count(kind: string): void {
    this.byKind.set(kind, (this.byKind.get(kind) ?? 0) + 1);
  }

  get faults(): number {
    return sum(this.byKind.values());
  }

  /** A pause of the users begins or ends: it is no time in which writes could be acknowledged. */
  skip(): void {
    this.#last = { ...this.#totals(), at: performance.now() };
    this.#acknowledged = this.world.users.map(({ history }) => history.counts.acknowledged);
  }

  #totals(): { begun: number; acknowledged: number } {
    const counts = this.world.users.map(({ history }) => history.counts);
    return {
      begun: sum(counts.map(({ begun }) => begun)),
      acknowledged: sum(counts.map(({ acknowledged }) => acknowledged)),
    };
  }

  #second(): void {
    const now = this.world.users.map(({ history }) => history.counts.acknowledged);
    if (this.world.users.some(({ isStopping }) => isStopping)) return;
    this.#inUse.all += now.length;
    this.#inUse.seconds += now.filter((count, index) => count > (this.#acknowledged[index] ?? 0)).length;
    this.#acknowledged = now;
  }

  #minute(): void {
    const totals = this.#totals();
    const attempts = totals.begun - this.#last.begun;
    const acknowledged = totals.acknowledged - this.#last.acknowledged;
    this.#last = { ...totals, at: performance.now() };
    const share = attempts === 0 ? 0 : acknowledged / attempts;
    const inUse = this.#inUse.all === 0 ? 0 : this.#inUse.seconds / this.#inUse.all;
    this.#inUse = { seconds: 0, all: 0 };
    if (attempts > 0) this.minutes.push({ acknowledged: share, inUse });
    const { own, manager } = this.measure();
    if (attempts === 0) return;
    this.say(
      `${this.#elapsed()}: ${this.faults} faults, ${acknowledged} of ${attempts} writes acknowledged (${percent(share)}), ` +
        `volumes in use ${percent(inUse)} of the time; test ${show(own)}, manager ${show(manager)}`,
    );
  }

  /** What this process and the manager use now. */
  measure(): { readonly own: Load; readonly manager: Load } {
    const own = loadOf(process.pid);
    const [pid] = this.world.cluster.manager.control().map((live) => live.pid);
    const manager = pid === undefined ? { bytes: 0, files: 0 } : loadOf(pid);
    for (const [kept, now] of [
      [this.worst.own, own],
      [this.worst.manager, manager],
    ] as const) {
      kept.bytes = Math.max(kept.bytes, now.bytes);
      kept.files = Math.max(kept.files, now.files);
    }
    return { own, manager };
  }

  /** What got too large, a sentence each. */
  excesses(): string[] {
    return Object.entries(this.worst)
      .filter(([, { bytes, files }]) => bytes > MOST_BYTES || files > MOST_FILES)
      .map(([who, load]) => `${who}: ${show(load)}`);
  }

  table(command: string): string {
    const { users, cluster } = this.world;
    const of = (count: (user: VolumeUser) => number): number => sum(users.map(count));
    const shares = this.minutes.map(({ acknowledged }) => acknowledged);
    const inUse = this.minutes.map((minute) => minute.inUse);
    const violations = of((user) => user.violations.length);
    const rows: [string, string | number][] = [
      ...[...this.byKind].sort(([a], [b]) => (a < b ? -1 : 1)),
      ["all faults", `${this.faults} in ${this.#elapsed()}`],
      ["", ""],
      ["writes acknowledged", of(({ history }) => history.counts.acknowledged)],
      ["writes in doubt", of(({ history }) => history.counts.inDoubt)],
      ["reads checked", of(({ history }) => history.counts.reads)],
      ["errors of failed disks", of(({ errors }) => errors)],
      ["snapshots taken", of(({ snapshots }) => snapshots.counts.taken)],
      ["snapshots checked", of(({ snapshots }) => snapshots.counts.checked)],
      ["snapshots given up, as reported", of(({ snapshots }) => snapshots.counts.lost)],
      ["snapshots deleted", of(({ snapshots }) => snapshots.counts.deleted)],
      ["acknowledged of attempts, by minute", shares.map(percent).join(" ")],
      ["volumes in use, by minute", inUse.map(percent).join(" ")],
      ...managerFigures(cluster),
      ["test process, manager at most", `${show(this.worst.own)}; ${show(this.worst.manager)}`],
      ["lost", violations],
      ["stuck", 0],
      ["command", command],
    ];
    return rows.map(([name, value]) => `  ${name.padEnd(42)}${value}`.trimEnd()).join("\n");
  }

  #elapsed(): string {
    return `${((performance.now() - this.#started) / SECOND_MS).toFixed(0)} s`;
  }
}

/** As the manager has recorded it; of the newest 100,000 events and jobs. */
function managerFigures({ manager }: TestCluster): [string, number][] {
  const path = String(manager.plan.conf.storage_manager?.database);
  const database = new SqliteDatabase(path, { readonly: true });
  try {
    const count = (query: string): number => (database.prepare(query).get() as { n: number }).n;
    const events = (like: string): number =>
      count(`SELECT count(*) n FROM event WHERE sentence LIKE '${like}'`);
    const jobs = (where: string): number => count(`SELECT count(*) n FROM job WHERE ${where}`);
    return [
      ["members dropped", events("%is out of sync%")],
      ["members replaced", events("%gets a new member%")],
      ["resyncs done (caught up or filled)", jobs("kind = 'resync' AND status = 3")],
      ["fences done", jobs("kind = 'fence' AND status = 3")],
      ["attaches, detaches done", jobs("kind IN ('attach', 'detach') AND status = 3")],
      ["shreds done", jobs("kind = 'shred' AND status = 3")],
    ];
  } finally {
    database.close();
  }
}

function loadOf(pid: number): Load {
  try {
    const status = readFileSync(`/proc/${pid}/status`, "utf8");
    const kibibytes = Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0);
    return { bytes: kibibytes * 1024, files: readdirSync(`/proc/${pid}/fd`).length };
  } catch {
    return { bytes: 0, files: 0 };
  }
}

const sum = (values: Iterable<number>): number => [...values].reduce((total, value) => total + value, 0);
const percent = (share: number): string => `${Math.round(share * 100)}%`;
const show = ({ bytes, files }: Load): string => `${Math.round(bytes / MIB)} MiB, ${files} files`;
