import type { Log } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import type { NbdClient } from "../../common/nbd/client.js";
import { NBD_CONNECTION_LOST, NbdErrno } from "../../common/nbd/protocol.js";
import { DISK_LOST, type DiskDone, DiskRequest, type DiskUser } from "./disk-request.js";

/** Checks within one `member_timeout`. */
const TICKS = 10;
const MAX_GRACE_MS: Milliseconds = 3000;
const FIRST_PAUSE_MS: Milliseconds = 50;
const LAST_PAUSE_MS: Milliseconds = 1000;
/** A disk that breaks its connection again and again over the same request has failed. */
const MAX_RESENDS = 8;
/** Incarnation numbers that one start of the process has. */
const INCARNATIONS_PER_START = 1_000_000;

/** What a connection is made of. */
export interface DiskConnectionOptions {
  /** For messages: `pdsk-%08x`. */
  readonly name: string;
  /** Number of this start of the volume process. */
  readonly start: number;
  readonly memberTimeoutMs: Milliseconds;
  /** Connects to the disk in this incarnation; rejects with `PolicyRefusal` if the disk refuses this volume. */
  readonly connect: (incarnation: number, timeoutMs: Milliseconds, onClose: () => void) => Promise<NbdClient>;
  /** The disk refuses a member that counts: this process was fenced. */
  readonly onFenced: (why: string) => void;
  readonly log: Log;
}

/** The disk's export refuses this volume and epoch. */
export class PolicyRefusal extends Error {
  override readonly name = "PolicyRefusal";
}

/**
 * The one NBD connection to a disk, for all members on it. It is made again when it breaks, in a higher incarnation, so
 * that requests of the broken one have ended before (rule R3); requests without an answer are sent again.
 *
 * `idle`: nobody uses it. `connecting`: not there, but not for long; requests wait. `lost`: not there for
 * `min(member_timeout, 3 s)`, or silent for `member_timeout`; requests get DISK_LOST, those of a patient member wait.
 *
 * Time is counted in ticks of a timer, not read from a clock: when this process itself was stopped for a while, no tick
 * has passed, and the disk gets its chance to answer.
 */
export class DiskConnection {
  state: "idle" | "connecting" | "up" | "lost" = "idle";
  /** Number of the newest completed write that was not FUA. It begins at 1: an earlier process may have written. */
  completed = 1;
  /** All completed writes up to this number are durable. */
  flushed = 0;
  readonly #options: DiskConnectionOptions;
  readonly #users = new Set<DiskUser>();
  readonly #pending = new Set<DiskRequest>();
  readonly #graceTicks: number;
  #client: NbdClient | undefined;
  #timer: NodeJS.Timeout | undefined;
  #retry: NodeJS.Timeout | undefined;
  #tick = 0;
  #lostAt = 0;
  #incarnation: number;
  #bootId: string | undefined;
  #attempt = 0;
  #isFlushing = false;
  #isEnded = false;
  #flushWaiting: DiskDone[] = [];
  #awaited: (() => void)[] = [];
  #draining: { readonly user: DiskUser; readonly resolve: () => void }[] = [];

  constructor(options: DiskConnectionOptions) {
    this.#options = options;
    this.#incarnation = options.start * INCARNATIONS_PER_START;
    const graceMs = Math.min(options.memberTimeoutMs, MAX_GRACE_MS);
    this.#graceTicks = Math.ceil((graceMs * TICKS) / options.memberTimeoutMs);
  }

  get name(): string {
    return this.#options.name;
  }

  get isUp(): boolean {
    return this.state === "up";
  }

  /** Resolves when the disk answers, or nobody uses it any more. */
  whenUpOrIdle(): Promise<void> {
    return new Promise((resolve) => {
      if (this.state === "up" || this.state === "idle") resolve();
      else this.#awaited.push(resolve);
    });
  }

  /** A member begins to use the disk. */
  acquire(user: DiskUser): void {
    this.#users.add(user);
    if (this.state === "idle" && !this.#isEnded) this.#begin();
  }

  /** A member needs the disk no more; without members the connection ends. */
  release(user: DiskUser): void {
    if (this.#users.delete(user) && this.#users.size === 0) this.close();
  }

  /**
   * Gives back the requests of a member that is not in use any more. What is on its way to the disk is waited for: an
   * answer is the only proof that it can't land later, except for the end of its connection.
   */
  drop(user: DiskUser): void {
    if (this.state !== "up") this.#giveBack((request) => request.user === user);
  }

  /** Resolves when nothing that a member has sent can land any more; it has to be out of use. */
  whenDrained(user: DiskUser): Promise<void> {
    return new Promise((resolve) => {
      this.#draining.push({ user, resolve });
      this.#tellDrained();
    });
  }

  submit(request: DiskRequest): void {
    request.tick = this.#tick;
    if (request.user?.inUse === false) {
      // Whoever still copies to it does not know yet. Its extent may be another's by now.
      setImmediate(request.done, DISK_LOST);
    } else if (this.#client !== undefined) {
      this.#pending.add(request);
      this.#send(this.#client, request);
    } else if (this.#mayWait(request)) {
      this.#pending.add(request);
    } else {
      // Not at once: the caller is in the middle of handing out one request to several members.
      setImmediate(request.done, DISK_LOST);
    }
  }

  /** Makes all completed writes durable. Those that ask while a flush is under way share the next one. */
  flush(done: DiskDone): void {
    if (this.#isFlushing) this.#flushWaiting.push(done);
    else this.#startFlush([done]);
  }

  /** True if completed writes of this member may not be durable. */
  hasUnflushed(user: DiskUser): boolean {
    return user.lastCompleted > this.flushed;
  }

  /** Ends it for good: nothing is sent any more, whoever may still ask. */
  end(): void {
    this.#isEnded = true;
    this.close();
  }

  close(): void {
    this.state = "idle";
    clearInterval(this.#timer);
    clearTimeout(this.#retry);
    this.#timer = undefined;
    this.#attempt += 1;
    this.#disconnect();
    this.#giveBack(() => true);
    this.#tellAwaited();
  }

  #startFlush(dones: DiskDone[]): void {
    this.#isFlushing = true;
    const mark = this.completed;
    const done: DiskDone = (errno) => {
      this.#isFlushing = false;
      if (errno === 0) this.flushed = Math.max(this.flushed, mark);
      const waiting = this.#flushWaiting;
      if (waiting.length > 0) {
        this.#flushWaiting = [];
        this.#startFlush(waiting);
      }
      for (const each of dones) each(errno);
    };
    this.submit(new DiskRequest(undefined, "flush", 0, 0, false, [], done));
  }

  #mayWait({ user, elsewhere }: DiskRequest): boolean {
    if (this.state === "idle" || elsewhere || user?.inUse === false) return false;
    return this.state === "connecting" || user?.patient === true;
  }

  #send(client: NbdClient, request: DiskRequest): void {
    const done: DiskDone = (errno, data) => this.#answered(client, request, errno, data);
    const { command, offset, length, fua, payload } = request;
    if (command === "read") client.read(offset, length, done, fua);
    else if (command === "write") client.write(offset, length, payload, fua, done);
    else if (command === "flush") client.flush(done);
    else if (command === "trim") client.trim(offset, length, fua, done);
    else client.writeZeroes(offset, length, fua, done);
  }

  #answered(client: NbdClient, request: DiskRequest, errno: number, data?: readonly Buffer[]): void {
    if (client !== this.#client) return; // it waits for the next connection, or was given back
    if (errno === NBD_CONNECTION_LOST || errno === NbdErrno.ESHUTDOWN) {
      this.#broken(client, "the connection broke");
      return;
    }
    if (!this.#pending.delete(request)) return;
    if (this.#draining.length > 0) this.#tellDrained();
    const { user } = request;
    if (errno === 0 && user !== undefined) user.answered += 1;
    if (errno === 0 && user !== undefined && !request.fua && request.command !== "read") {
      this.completed += 1;
      user.lastCompleted = this.completed;
    }
    // One that is only being copied to may have been given up by the manager: that ends its resync, and nothing else.
    if (errno === NbdErrno.EPERM && user?.inUse !== false && user?.counts !== false) {
      const why = `${this.name} refused a ${request.command}: its grant is gone`;
      if (user?.refused(why) !== true) {
        this.#options.onFenced(why);
        return;
      }
    }
    request.done(errno, data);
  }

  #begin(): void {
    this.state = "connecting";
    this.#lostAt = this.#tick;
    this.#timer ??= setInterval(() => this.#onTick(), this.#options.memberTimeoutMs / TICKS);
    this.#attempt += 1;
    void this.#connect(this.#attempt, FIRST_PAUSE_MS);
  }

  async #connect(attempt: number, pauseMs: Milliseconds): Promise<void> {
    const { connect, memberTimeoutMs, log, onFenced } = this.#options;
    let made: NbdClient | undefined;
    try {
      made = await connect(this.#incarnation, Math.min(memberTimeoutMs, MAX_GRACE_MS), () => {
        if (made !== undefined) this.#broken(made, "the connection broke");
      });
    } catch (error) {
      if (attempt !== this.#attempt) return;
      if (error instanceof PolicyRefusal) {
        const why = `${this.name} refuses this volume: ${error.message}`;
        const concerned = [...this.#users].filter(({ counts }) => counts);
        if (concerned.filter((user) => !user.refused(why)).length > 0) {
          onFenced(why);
          return;
        }
        this.#giveBack(() => true);
      }
      if (pauseMs === FIRST_PAUSE_MS) log.warn({ err: error }, `${this.name} can't be reached, trying on`);
      const next = Math.min(pauseMs * 2, LAST_PAUSE_MS);
      this.#retry = setTimeout(() => void this.#connect(attempt, next), pauseMs);
      return;
    }
    if (attempt !== this.#attempt) made.destroy();
    else this.#adopt(made);
  }

  #adopt(client: NbdClient): void {
    const bootId = client.description;
    if (this.#bootId !== undefined && this.#bootId !== bootId) {
      this.#options.log.warn(`the server of ${this.name} was restarted`);
      for (const user of [...this.#users]) if (this.hasUnflushed(user)) user.writesLost();
      this.#giveBack(({ user }) => user?.inUse === false);
      this.flushed = this.completed;
    }
    this.#bootId = bootId;
    if (this.state === "idle") {
      client.destroy(); // nobody is left who uses it
      return;
    }
    this.#client = client;
    this.state = "up";
    for (const request of [...this.#pending]) {
      request.tick = this.#tick;
      request.resends += 1;
      this.#send(client, request);
    }
    for (const user of [...this.#users]) user.diskUp();
    this.#tellAwaited();
  }

  #tellAwaited(): void {
    const awaited = this.#awaited;
    this.#awaited = [];
    for (const resolve of awaited) resolve();
  }

  #broken(client: NbdClient, why: string): void {
    if (client !== this.#client) return;
    this.#options.log.warn(`${this.name}: ${why}`);
    this.#disconnect();
    this.#begin();
    this.#giveBack((request) => !this.#mayWait(request) || request.resends > MAX_RESENDS);
  }

  /** Ends the connection; what was sent on it stays pending. The next one has a higher incarnation. */
  #disconnect(): void {
    const client = this.#client;
    if (client === undefined) return;
    this.#client = undefined;
    this.#incarnation += 1;
    client.destroy();
  }

  #onTick(): void {
    this.#tick += 1;
    if (this.state === "up") {
      const [oldest] = this.#pending;
      if (oldest === undefined || this.#tick - oldest.tick <= TICKS) return;
      this.#options.log.warn(`${this.name} has not answered for ${this.#options.memberTimeoutMs} ms`);
      this.#disconnect();
      this.#begin();
      this.#lose();
    } else if (this.state === "lost" || this.#tick - this.#lostAt > this.#graceTicks) {
      this.#lose();
    }
  }

  #lose(): void {
    this.state = "lost";
    this.#giveBack((request) => !this.#mayWait(request));
  }

  #giveBack(which: (request: DiskRequest) => boolean): void {
    for (const request of [...this.#pending]) {
      if (!which(request)) continue;
      this.#pending.delete(request);
      setImmediate(request.done, DISK_LOST);
    }
    this.#tellDrained();
  }

  #tellDrained(): void {
    if (this.#draining.length === 0) return;
    const busy = new Set([...this.#pending].map(({ user }) => user));
    const drained = this.#draining.filter(({ user }) => !busy.has(user));
    this.#draining = this.#draining.filter(({ user }) => busy.has(user));
    for (const { resolve } of drained) resolve();
  }
}
