import { GIB, MIB } from "../../shared/units.js";
import { Random } from "../cluster/chaos/random.js";
import { type Range, SECTOR } from "./history.js";

const KIB = 1024;

export const MIRRORS = 2;
export const DISKS = 4;
export const REDUNDANCY = 3;
/** Runs that one volume lives for. */
export const RUNS_PER_LIFE = 16;
/** One in so many runs has an extent replaced: a blank one is copied whole, which costs as much as fifteen other runs. */
const REPLACE_EVERY = 80;

/** Where a volume of two mirrors is written: at its ends, and across the boundaries of a region, a mirror and a MiB. */
const SPOTS: readonly Range[] = [
  { start: 16 * MIB - 48 * KIB, length: 96 * KIB },
  { start: GIB - 48 * KIB, length: 96 * KIB },
  { start: GIB + 5 * MIB - 24 * KIB, length: 48 * KIB },
  { start: 0, length: 32 * KIB },
  { start: MIRRORS * GIB - 32 * KIB, length: 32 * KIB },
];
/** Beside each spot so much is looked at and never written. */
const MARGIN = 16 * KIB;
/** In the middle of a spot: where writes overlap most. */
const HOT = 6 * KIB;

/** All that is looked at. */
export const WINDOWS: readonly Range[] = SPOTS.map(({ start, length }) => {
  const from = Math.max(0, start - MARGIN);
  return { start: from, length: Math.min(MIRRORS * GIB, start + length + MARGIN) - from };
});

export interface Request {
  readonly kind: "write" | "fua" | "trim" | "zero" | "read" | "flush" | "readSnapshot";
  readonly offset: number;
  readonly length: number;
}

/** What a disk, or the way to it, suffers. */
export const FAULTS = [
  "kill",
  "freeze",
  "cut",
  "late",
  "slow",
  "read errors",
  "write errors",
  "flush errors",
  "power",
] as const;
export type Fault = (typeof FAULTS)[number];

/** One step of a run. `pick` chooses among what there is when its time has come. */
export type Step =
  /** Gives all requests at once; the next step comes when so many are answered. */
  | { readonly kind: "requests"; readonly requests: readonly Request[]; readonly proceed: number }
  | { readonly kind: "take" | "drop"; readonly pick: number; readonly isAwaited: boolean }
  | { readonly kind: "verify snapshots" }
  | { readonly kind: "fault"; readonly fault: Fault; readonly disk: number }
  /** Waits until disks that do not answer have lost a member. */
  | { readonly kind: "silence" }
  | { readonly kind: "heal"; readonly isAwaited: boolean }
  | { readonly kind: "resync"; readonly pick: number; readonly isAwaited: boolean }
  | { readonly kind: "replace"; readonly pick: number; readonly isLive: boolean }
  | { readonly kind: "restart"; readonly how: "kill" | "detach" | "power" }
  | { readonly kind: "manager"; readonly fault: "away" | "late" | "answers lost" };

export const STEPS = [
  "requests",
  "take",
  "drop",
  "verify snapshots",
  "fault",
  "silence",
  "heal",
  "resync",
  "replace",
  "restart",
  "manager",
] as const satisfies readonly Step["kind"][];

/** The steps of a run: the same for the same seed and number. */
export function scheduleOf(seed: number, run: number): Step[] {
  const life = Math.floor(run / RUNS_PER_LIFE);
  const scheduler = new Scheduler(new Random(seed, `model ${run}`), spotsOf(seed, life));
  const steps = scheduler.steps();
  return run % REPLACE_EVERY === REPLACE_EVERY / 2 ? [...steps, ...scheduler.replace()] : steps;
}

/** Few for each volume: every region that is written costs its copying after a crash, and at each return of a member. */
function spotsOf(seed: number, life: number): readonly Range[] {
  const random = new Random(seed, `spots ${life}`);
  const shuffled = SPOTS.map((spot) => ({ spot, key: random.next() })).sort((a, b) => a.key - b.key);
  return shuffled.slice(0, random.between(1, 2)).map(({ spot }) => spot);
}

class Scheduler {
  constructor(
    private readonly random: Random,
    private readonly spots: readonly Range[],
  ) {}

  readonly #actions: readonly { readonly weight: number; readonly make: () => Step[] }[] = [
    { weight: 16, make: () => [this.#burst()] },
    { weight: 6, make: () => [{ kind: "take", pick: 0, isAwaited: this.random.chance(0.4) }, this.#burst()] },
    { weight: 2, make: () => [{ kind: "verify snapshots" }] },
    { weight: 2, make: () => [{ kind: "drop", ...this.#picked() }] },
    { weight: 6, make: () => this.#trouble() },
    { weight: 1, make: () => [this.#burst(), ...this.#restart()] },
    { weight: 1, make: () => this.#managerTrouble() },
  ];

  steps(): Step[] {
    const count = this.random.between(3, 6);
    const steps = [this.#burst()];
    for (let at = 0; at < count; at += 1) steps.push(...(this.random.weighted(this.#actions)?.make() ?? []));
    return steps;
  }

  #picked() {
    return { pick: this.random.between(0, 1000), isAwaited: this.random.chance(0.5) };
  }

  #fault(): Step {
    const fault = this.random.weighted([
      { weight: 1, fault: "kill" },
      { weight: 3, fault: "freeze" },
      { weight: 4, fault: "cut" },
      { weight: 3, fault: "late" },
      { weight: 4, fault: "slow" },
      { weight: 2, fault: "read errors" },
      { weight: 3, fault: "write errors" },
      { weight: 2, fault: "flush errors" },
      { weight: 3, fault: "power" },
    ] as const)?.fault;
    return { kind: "fault", fault: fault ?? "cut", disk: this.random.between(0, DISKS - 1) };
  }

  /** A disk has a fault while it is written to, sometimes another one too; then they are over, and it comes back. */
  #trouble(): Step[] {
    const steps = this.#faultInUse(0.3);
    if (this.random.chance(0.2)) steps.push(this.#fault(), this.#burst());
    if (this.random.chance(0.25)) steps.push({ kind: "take", pick: 0, isAwaited: false }, this.#burst());
    if (this.random.chance(0.05)) steps.push(...this.#restart());
    steps.push({ kind: "heal", isAwaited: this.random.chance(0.5) }, this.#burst());
    // A member that was dropped is still out then.
    if (this.random.chance(0.08)) steps.push(...this.#restart());
    if (this.random.chance(0.7)) steps.push({ kind: "resync", ...this.#picked() }, this.#burst());
    if (this.random.chance(0.1)) steps.push(this.#fault(), this.#burst());
    return steps;
  }

  #managerTrouble(): Step[] {
    const fault = this.random.pick(["away", "late", "answers lost"] as const) ?? "away";
    return [{ kind: "manager", fault }, ...this.#trouble()];
  }

  /** While it is copied the volume is used, and a disk may fail. */
  replace(): Step[] {
    const { random } = this;
    const steps: Step[] = [
      { kind: "replace", pick: random.between(0, 1000), isLive: random.chance(0.5) },
      this.#burst(),
      this.#burst(),
    ];
    if (random.chance(0.4)) steps.push(this.#fault(), this.#burst(), { kind: "heal", isAwaited: true });
    return [...steps, this.#burst()];
  }

  /** @param silent how often a disk that does not answer stays so until its members are dropped */
  #faultInUse(silent: number): Step[] {
    const steps: Step[] = [this.#fault(), this.#burst()];
    return this.random.chance(silent) ? [...steps, { kind: "silence" }] : steps;
  }

  /** A disk that fails right afterwards misses writes to regions whose bits its own record does not have. */
  #restart(): Step[] {
    const how = this.random.pick(["kill", "power", "detach", "detach"] as const) ?? "kill";
    const steps: Step[] = [{ kind: "restart", how }];
    if (this.random.chance(0.5)) {
      steps.push(...this.#faultInUse(0.7), { kind: "heal", isAwaited: true });
      if (this.random.chance(0.5)) steps.push({ kind: "restart", how: "detach" });
    }
    return [...steps, this.#burst()];
  }

  #burst(): Step {
    const count = this.random.between(4, 32);
    const requests = Array.from({ length: count }, () => this.#request());
    const proceed = this.random.chance(0.4) ? count : this.random.between(0, count);
    return { kind: "requests", requests, proceed };
  }

  #request(): Request {
    const { random } = this;
    const kind = random.weighted([
      { weight: 50, kind: "write" },
      { weight: 10, kind: "fua" },
      { weight: 5, kind: "trim" },
      { weight: 6, kind: "zero" },
      { weight: 18, kind: "read" },
      { weight: 8, kind: "readSnapshot" },
      { weight: 6, kind: "flush" },
    ] as const);
    return { kind: kind?.kind ?? "flush", ...this.#place() };
  }

  /** Aligned and unaligned, short and long; often where others are. */
  #place(): { offset: number; length: number } {
    const { random } = this;
    const spot = random.pick(this.spots) ?? { start: 0, length: SECTOR };
    const middle = spot.start + spot.length / 2;
    const isHot = random.chance(0.5);
    const start = isHot ? middle - HOT / 2 : spot.start;
    const room = isHot ? HOT : spot.length;
    const isAligned = random.chance(0.5);
    const unit = isAligned ? SECTOR : 1;
    const longest = random.chance(0.1) ? room : Math.min(room, random.chance(0.3) ? 20 * KIB : 3 * KIB);
    const length = unit * random.between(1, Math.floor(longest / unit));
    const offset = start + unit * random.between(0, Math.floor((room - length) / unit));
    return { offset, length };
  }
}
