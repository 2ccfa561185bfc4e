import { setTimeout as pause } from "node:timers/promises";
import { describeError } from "../../shared/errors.js";
import { GIB } from "../../shared/units.js";
import { Random } from "../cluster/chaos/random.js";
import { NbdClient } from "../harness/nbd-client.js";
import { NbdError } from "../harness/nbd-handshake.js";
import { waitUntil } from "../harness/wait-until.js";
import { wrongBitmap } from "./bitmaps.js";
import { type History, SECTOR } from "./history.js";
import type { Lane } from "./lane.js";
import { Members } from "./members.js";
import { DISKS, type Fault, MIRRORS, type Request, type Step, scheduleOf, WINDOWS } from "./schedule.js";
import { Snapshots } from "./snapshots.js";
import type { Statistics } from "./statistics.js";

const EIO = 5;
const CLIENTS = 2;
/** A step that has to wait for this long lets the next one come: what it waits for may be what that one heals. */
const PATIENCE_MS = 250;
/** Once nothing is wrong any more everything is answered within this. */
const ANSWERED_MS = 60_000;
/** Content that can't be guessed; each write has another part of it. */
export const POOL_BYTES = 1 << 20;

export interface RunContext {
  readonly lane: Lane;
  readonly history: History;
  readonly seed: number;
  readonly run: number;
  readonly pool: Buffer;
  readonly statistics: Statistics;
}

/** One run: the steps of its schedule on the volume of a lane, and all checks against the model. */
export class ModelRun {
  readonly trace: string[] = [];
  readonly #context: RunContext;
  /** Chances that are taken while it runs; a stream of its own, so that the schedule does not depend on them. */
  readonly #random: Random;
  readonly #inFlight = new Set<Promise<void>>();
  readonly #background = new Set<Promise<void>>();
  readonly #snapshots: Snapshots;
  readonly #members: Members;
  #defects: string[] = [];
  #clients: NbdClient[] = [];
  #requests = 0;
  #isStopping = false;
  /** Errors were injected: the last good copy may answer them to the client. */
  #mayFail = false;
  /** A disk lost its power, or could not be flushed, since the content was last known for certain. */
  #isLossy = false;

  constructor(context: RunContext) {
    this.#context = context;
    this.#random = new Random(context.seed, `chances ${context.run}`);
    const note = (text: string) => this.#note(text);
    const defect = (text: string) => this.#defects.push(text);
    this.#snapshots = new Snapshots({
      ...context,
      note,
      defect,
      mayFail: () => this.#mayFail || this.#isStopping,
    });
    this.#members = new Members({ ...context, note, defect });
  }

  /** @throws Error if anything is not as the model says */
  async execute(): Promise<void> {
    const { lane, seed, run, statistics } = this.#context;
    lane.rig.manager.onAccepted = (report) => {
      // On a machine that is starved of processor time a disk may look silent that is not.
      if (report.method === "reportMemberFailure") this.#snapshots.hadFaults = true;
      this.#members.accepted(report);
    };
    await this.#connect();
    for (const step of scheduleOf(seed, run)) {
      statistics.count("steps", step.kind);
      await this.#perform(step);
      this.#assertSound();
    }
    await this.#finish();
    this.#assertSound();
  }

  #note(text: string): void {
    this.trace.push(text);
  }

  #assertSound(): void {
    const [first] = this.#defects;
    if (first !== undefined) throw new Error(`${first} (${this.#defects.length} in all)`);
  }

  async #perform(step: Step): Promise<void> {
    const { lane } = this.#context;
    if (step.kind !== "requests") this.#note(JSON.stringify(step));
    if (step.kind === "requests") await this.#burst(step.requests, step.proceed);
    else if (step.kind === "take") await this.#start(this.#snapshots.take(), step.isAwaited);
    else if (step.kind === "drop") await this.#start(this.#snapshots.drop(step.pick), step.isAwaited);
    else if (step.kind === "verify snapshots") await this.#within(this.#snapshots.verifyAll());
    else if (step.kind === "fault") await this.#fault(step.disk, step.fault);
    else if (step.kind === "silence") await lane.silence();
    else if (step.kind === "heal") {
      this.#managerBack();
      await this.#start(lane.heal(), true);
    } else if (step.kind === "resync") await this.#start(this.#members.resyncOne(step.pick), step.isAwaited);
    else if (step.kind === "replace") await this.#start(this.#members.replace(step.pick, step.isLive), false);
    else if (step.kind === "restart") await this.#restart(step.how);
    else if (step.kind === "manager") this.#managerFault(step.fault);
  }

  /** Work that may go on while the next steps come. */
  async #start(work: Promise<void>, isAwaited: boolean): Promise<void> {
    const tracked = work.catch((error: unknown) => {
      this.#defects.push(describeError(error));
    });
    this.#background.add(tracked);
    void tracked.then(() => this.#background.delete(tracked));
    if (isAwaited) await this.#within(tracked);
  }

  async #within(work: Promise<unknown>): Promise<void> {
    const ending = new AbortController();
    await Promise.race([
      work,
      pause(PATIENCE_MS, undefined, { signal: ending.signal }).catch(() => undefined),
    ]);
    ending.abort();
  }

  async #connect(): Promise<void> {
    const { rig } = this.#context.lane;
    this.#clients = await Promise.all(
      Array.from({ length: CLIENTS }, () => NbdClient.connect({ path: rig.link })),
    );
  }

  async #burst(requests: readonly Request[], proceed: number): Promise<void> {
    let answered = 0;
    let enough: () => void = () => undefined;
    const isEnough = new Promise<void>((resolve) => {
      enough = resolve;
    });
    this.#note(
      `${requests.length} requests, on at ${proceed}: #${this.#requests + 1} to #${this.#requests + requests.length}`,
    );
    for (const request of requests) {
      const work = this.#request(request).then(() => {
        this.#inFlight.delete(work);
        answered += 1;
        if (answered >= proceed) enough();
      });
      this.#inFlight.add(work);
    }
    if (proceed > 0) await this.#within(isEnough);
  }

  /** Never rejects. */
  async #request(request: Request): Promise<void> {
    this.#requests += 1;
    const { kind, offset, length } = request;
    this.#context.statistics.count("requests", kind);
    const name = `#${this.#requests} ${kind} ${offset}+${length}`;
    const client = this.#clients[this.#requests % CLIENTS] as NbdClient; // #connect has made them
    try {
      if (kind === "readSnapshot") await this.#snapshots.read(offset, length);
      else if (kind === "read") await this.#read(client, offset, length, name);
      else if (kind === "flush") await this.#flush(client);
      else await this.#change(client, request, name);
    } catch (error) {
      this.#failed(name, error);
    }
  }

  #failed(name: string, error: unknown): void {
    this.#note(`${name}: ${describeError(error)}`);
    if (error instanceof NbdError) {
      this.#context.statistics.count("answers", `errno ${error.code}`);
      if (!(this.#mayFail && error.code === EIO)) this.#defects.push(`${name}: errno ${error.code}`);
    } else if (!this.#isStopping) this.#defects.push(`${name}: ${describeError(error)}`);
  }

  async #read(client: NbdClient, offset: number, length: number, name: string): Promise<void> {
    const { history } = this.#context;
    const from = history.now();
    const data = await client.read(offset, length);
    const wrong = history.check(offset, data, { from, to: history.now() });
    if (wrong !== undefined) this.#defects.push(`${name}: ${wrong}`);
  }

  async #flush(client: NbdClient): Promise<void> {
    const asked = this.#context.history.now();
    await client.flush();
    this.#context.history.flushed(asked);
  }

  async #change(client: NbdClient, { kind, offset, length }: Request, name: string): Promise<void> {
    const { history, pool, run } = this.#context;
    const isZero = kind === "trim" || kind === "zero";
    const at = ((this.#requests * 7919 + run * 104_729) * 13) % (POOL_BYTES - length);
    const bytes = isZero ? Buffer.alloc(length) : pool.subarray(at, at + length);
    const fua = kind === "fua" || (isZero && this.#requests % 3 === 0);
    const change = history.begin(offset, bytes, name);
    if (kind === "trim") await client.trim(offset, length, { fua });
    else if (kind === "zero") await client.zero(offset, length, { fua });
    else await client.write(offset, bytes, { fua });
    history.end(change, fua);
    const wrong = this.#members.missing(change);
    if (wrong !== undefined) this.#defects.push(`${name} was acknowledged: ${wrong}`);
  }

  async #fault(disk: number, fault: Fault): Promise<void> {
    const { lane, statistics } = this.#context;
    const isLossy = fault === "power" || fault === "flush errors";
    const isHarmful = isLossy || fault === "read errors" || fault === "write errors";
    if (lane.faults.has(disk) || (isHarmful && !lane.canSpare(disk))) {
      this.#note("(not now)");
      return;
    }
    statistics.count("faults", fault);
    if (isHarmful) this.#mayFail = true;
    if (isLossy) this.#isLossy = true;
    if (isLossy) this.#members.suspects.add(disk);
    this.#snapshots.hadFaults = true;
    await lane.fault(disk, fault, () => this.#random.chance(0.7));
  }

  #managerFault(fault: "away" | "late" | "answers lost"): void {
    const { manager } = this.#context.lane.rig;
    this.#context.statistics.count("faults", `manager: ${fault}`);
    this.#snapshots.hadFaults = true;
    if (fault === "away") manager.isAway = true;
    else if (fault === "late") manager.beforeReport = () => pause(this.#random.between(1, 80));
    else this.#members.isLosingAnswers = true;
  }

  #managerBack(): void {
    const { manager } = this.#context.lane.rig;
    manager.isAway = false;
    manager.beforeReport = () => Promise.resolve();
    this.#members.isLosingAnswers = false;
  }

  async #restart(how: "kill" | "detach" | "power"): Promise<void> {
    const { lane, statistics } = this.#context;
    statistics.count("faults", `volume process: ${how}`);
    this.#isStopping = true;
    this.#managerBack();
    await this.#end(how === "detach");
    await lane.drain();
    if (how === "power") {
      await lane.cutPower(() => this.#random.chance(0.7));
      this.#isLossy = true;
    }
    const wrong = wrongBitmap(lane);
    if (wrong !== undefined) this.#defects.push(wrong);
    // Else nothing could be served before they are over.
    if (!Array.from({ length: DISKS }, (_, disk) => disk).every((disk) => lane.canSpare(disk)))
      await lane.heal();
    await this.#launch();
    await this.#settle();
    this.#isStopping = false;
    this.#note("served again");
    await this.#snapshots.verifyAll();
  }

  /** The volume process is over when this returns, and nothing is in flight. */
  async #end(isOrderly: boolean): Promise<void> {
    const { rig } = this.#context.lane;
    if (isOrderly) await this.#detach().catch((error: unknown) => this.#note(describeError(error)));
    await rig.volume?.kill();
    await Promise.all([...this.#inFlight, ...this.#background]);
    await this.#snapshots.disconnect();
  }

  async #detach(): Promise<void> {
    const { rig } = this.#context.lane;
    await this.#within(Promise.all([...this.#inFlight, ...this.#background]));
    await Promise.all(this.#clients.map((client) => client.close()));
    await this.#snapshots.disconnect();
    await waitUntil("no client is left", async () => (await rig.status()).clients === 0, 20_000);
    await rig.control("detach", {}, 20_000);
    this.#context.statistics.count("answers", "detached");
    await rig.volume?.exited;
  }

  async #launch(): Promise<void> {
    const { lane } = this.#context;
    try {
      await lane.launch();
    } catch (error) {
      // With a disk that answers errors a mirror may not be fit to be served.
      if (lane.faults.size === 0) throw error;
      this.#note(describeError(error));
      await lane.heal();
      await lane.launch();
    }
    await this.#connect();
  }

  /** What was in doubt is read, and holds from now on. */
  async #settle(): Promise<void> {
    const { lane, history } = this.#context;
    const [client] = this.#clients;
    if (client === undefined) throw new Error("nobody is connected");
    const contents: { offset: number; bytes: Buffer }[] = [];
    for (const { start, length } of WINDOWS) {
      const moment = { from: history.now(), to: Infinity };
      const bytes = await client.read(start, length).catch(async (error: unknown) => {
        if (lane.faults.size === 0) throw error;
        this.#note(`${describeError(error)}; all disks are healed`);
        await lane.heal();
        return client.read(start, length);
      });
      const wrong = history.check(start, bytes, moment, this.#isLossy);
      if (wrong !== undefined) this.#defects.push(`after the restart: ${wrong}`);
      contents.push({ offset: start, bytes });
    }
    history.settle(contents);
    this.#isLossy = false;
    this.#members.suspects.clear();
  }

  /** All is healed and in sync again; then everything must be as the model says. */
  async #finish(): Promise<void> {
    const { lane, history } = this.#context;
    this.#note("the end: all is healed");
    this.#managerBack();
    await Promise.all([...this.#background]);
    await lane.heal();
    await this.#allAnswered();
    await this.#reviveBroken();
    await this.#members.resyncAll();
    this.#assertSound();
    const [client] = this.#clients;
    await client?.flush();
    // Nothing is under way: what is read now is what it is.
    const lossy = this.#isLossy;
    this.#isLossy = false;
    await this.#settle();
    this.#isLossy = lossy;
    const wrong = this.#members.difference();
    if (wrong !== undefined) this.#defects.push(wrong);
    await this.#snapshots.verifyAll();
    await this.#snapshots.dropAll();
    await Promise.all(this.#clients.map((each) => each.close()));
    history.prune();
  }

  async #allAnswered(): Promise<void> {
    const all = Promise.all([...this.#inFlight]);
    const ending = new AbortController();
    const late = pause(ANSWERED_MS, "late", { signal: ending.signal }).catch(() => undefined);
    if ((await Promise.race([all, late])) === "late")
      this.#defects.push(`${this.#inFlight.size} requests are not answered although all is healed`);
    ending.abort();
    this.#assertSound();
  }

  /** A last good copy that lost writes answers EIO until the volume is attached anew. */
  async #reviveBroken(): Promise<void> {
    const [client] = this.#clients;
    const reads = Array.from({ length: MIRRORS }, (_, at) => client?.read(at * GIB, SECTOR));
    const results = await Promise.allSettled(reads);
    if (results.every(({ status }) => status === "fulfilled")) return;
    if (!this.#mayFail) this.#defects.push("a mirror answers errors");
    this.#context.statistics.count("answers", "attached anew");
    await this.#restart("kill");
  }
}
