import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { TestServer } from "./test-server.js";

/** A place in a process's work: the j-th time that something of this kind happens while a plan is there. */
export interface CrashPoint {
  /** `before call grantExtents`, `after rename lvol-#.json`. */
  readonly kind: string;
  /** From 1; 0 for each. */
  readonly occurrence: number;
}

/**
 * `kill`: SIGKILL of the process at the point. `drop`: an answer has come and is thrown away. `twice`: a call is delivered
 * once more before. `hang`: the step never ends. `fail`: it is not done.
 */
export type CrashAction = "kill" | "drop" | "twice" | "hang" | "fail";

/** Every call that the process makes. */
export const EVERY_CALL: CrashPoint = { kind: "*", occurrence: 0 };

const preload = fileURLToPath(new URL("crash-points-preload.mjs", import.meta.url));
let plans = 0;

export const showPoint = ({ kind, occurrence }: CrashPoint): string =>
  occurrence > 1 ? `${kind} #${occurrence}` : kind;

/** The points of one server's control process: listing them, and stopping the process at one. */
export class CrashProbe {
  readonly #plan: string;
  readonly #log: string;

  /** Takes effect at the server's next start. */
  constructor(readonly server: TestServer) {
    this.#plan = join(server.plan.folder, "crash-plan.json");
    this.#log = join(server.plan.folder, "crash-points");
    server.moreEnvironment = { NODE_OPTIONS: `--import=${preload}`, VAS_CRASH_PLAN: this.#plan };
  }

  /** Counts from now on; with a point, what is to happen there. */
  arm(at?: { readonly point: CrashPoint; readonly action: CrashAction }): void {
    plans += 1;
    rmSync(this.#log, { force: true });
    const plan = { id: `${process.pid} ${plans}`, log: this.#log, action: at?.action, ...at?.point };
    writeFileSync(`${this.#plan}.new`, JSON.stringify(plan));
    renameSync(`${this.#plan}.new`, this.#plan);
  }

  disarm(): void {
    rmSync(this.#plan, { force: true });
  }

  /** The points that were passed since it was armed, in their order. */
  passed(): CrashPoint[] {
    return this.#lines().map(({ kind, occurrence }) => ({ kind, occurrence }));
  }

  /** Whether the point that it was armed with was reached. */
  get wasHit(): boolean {
    return this.#lines().some(({ hit }) => hit);
  }

  #lines(): (CrashPoint & { readonly hit: boolean })[] {
    if (!existsSync(this.#log)) return [];
    // The last line may be under way.
    const whole = readFileSync(this.#log, "utf8").split("\n").slice(0, -1);
    return whole.map((line) => JSON.parse(line));
  }
}
