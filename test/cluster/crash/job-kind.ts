import type { TestClusterOptions } from "../../harness/cluster.js";
import type { CrashAction, CrashPoint } from "../../harness/crash-points.js";
import type { CrashWorld } from "./crash-world.js";

/** The processes that are stopped: each is the control process of a server. */
export type Victim = "manager" | "head" | "storage";

/** Something that disturbs every run of a kind, beyond the point itself: a head that never answers, for example. */
export interface Obstacle {
  readonly victim: Victim;
  readonly point: CrashPoint;
  readonly action: CrashAction;
}

/** For the test of a kind: its runs follow one another, and each waits for processes that start. */
export const KIND_TEST_MS = 1_800_000;

/** A kind of job, as far as stopping it at each of its points is concerned. */
export interface JobKind {
  readonly name: string;
  readonly cluster: TestClusterOptions;
  readonly victims: readonly Victim[];
  /** If the job ends an epoch: whether the head says that nobody uses it any more. */
  readonly isConfirmed: boolean;
  readonly obstacle?: Obstacle;
  /**
   * The manager's points before the first of this kind are another job's too, in the same state: they are run with it,
   * and with this one only when all points are.
   */
  readonly firstOwnPoint?: string;
  /** At most so many of the manager's runs, unless all points are run: each takes long. */
  readonly managerSample?: number;
  /** Once, when the cluster is up. */
  readonly begin: (world: CrashWorld) => Promise<void>;
  /** Brings the cluster to where the job begins, from wherever the last run left it. */
  readonly prepare: (world: CrashWorld) => Promise<void>;
  /** The call that begins the job. It rejects when its caller is cut off, or the job is undone. */
  readonly act: (world: CrashWorld) => Promise<void>;
  /**
   * Called when nothing is under way any more. Makes sure that the job is done or undone, finishes what it was for if it
   * was undone, and brings the cluster to the end state of the kind.
   *
   * @throws if it is anything else.
   */
  readonly finish: (world: CrashWorld) => Promise<"done" | "undone">;
}
