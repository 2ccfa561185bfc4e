import { setTimeout as pause } from "node:timers/promises";
import { GIB, MIB } from "../../../shared/units.js";
import type { TestCluster } from "../../harness/cluster.js";
import type { NbdClient } from "../../harness/nbd-client.js";
import { NbdError } from "../../harness/nbd-handshake.js";
import { Attachment } from "./attachment.js";
import { CELL_BYTES, encodeCells } from "./cells.js";
import { History, type Write } from "./history.js";
import { Random } from "./random.js";
import { SnapshotKeeper } from "./snapshot-keeper.js";

/** Where a volume is written: pieces that lie across the boundaries of regions, chunks and mirrors, and at its ends. */
export const AREA_CELLS = 4096;
const AREA_BYTES = AREA_CELLS * CELL_BYTES;
/** Areas written at one time, so that others fall idle and their bits are cleared. */
const AREAS_AT_ONCE = 3;
const ROTATE_MS = 7000;
/** NBD_ESHUTDOWN: the volume process was fenced. */
const SHUT_DOWN = 108;
/** What a disk that holds the last good copy may have its volume answer. */
const DISK_ERRORS = [5, 28];
/** Between two requests of one writer, and of the reader, at most. */
const WRITE_PAUSE_MS = 60;
const READ_PAUSE_MS = 150;
/** How many times longer they are when the faults are over: copying gives way to use, and is waited for. */
const AT_EASE = 10;

/** How a writer behaves: FUA on each write, a flush now and then, or neither. */
type Manner = "fua" | "flush" | "plain";
const MANNERS: readonly Manner[] = ["fua", "flush", "plain"];

export interface UserOptions {
  readonly cluster: TestCluster;
  readonly seed: number;
  readonly lvolid: number;
  readonly name: string;
  readonly gigabytes: number;
  /** Snapshots are taken, read and deleted on the way. */
  readonly hasSnapshots: boolean;
  readonly note: (text: string) => void;
  /** A volume may answer that its disk has failed, since one has, or seems to have. */
  readonly mayFail: () => boolean;
}

/** An application that uses one volume: writers, a reader, and the attaching to a head that serves it. */
export class VolumeUser {
  readonly history: History;
  readonly attachment: Attachment;
  readonly snapshots: SnapshotKeeper;
  /** What was read that can't be, and answers that should not have come. */
  readonly violations: string[] = [];
  readonly areas: readonly number[];
  /** Answers that told of a failed disk. */
  errors = 0;
  #gate: Promise<void> | undefined;
  #open: () => void = () => undefined;
  readonly #underWay = new Set<Promise<unknown>>();
  /** Writes whose connection ended before they were answered. */
  #unsettled: Write[] = [];
  #active: readonly number[] = [];
  #isStopping = false;
  #pace = 1;
  readonly #choice: Random;

  constructor(readonly options: UserOptions) {
    const { lvolid, gigabytes, seed, name } = options;
    this.history = new History(lvolid);
    this.#choice = new Random(seed, `user ${name}`);
    this.attachment = new Attachment(options, this.#choice, () => this.#settle());
    this.areas = chooseAreas(gigabytes * GIB, this.#choice);
    this.snapshots = new SnapshotKeeper(this, new Random(seed, `${name} snapshots`));
  }

  /** Writes, reads and takes snapshots until `stop`. */
  async run(): Promise<void> {
    const { seed, name, hasSnapshots } = this.options;
    this.#isStopping = false;
    this.#pace = 1;
    const writers = MANNERS.map((manner, index) =>
      this.#write(manner, new Random(seed, `${name} writer ${index}`)),
    );
    const reader = this.#read(new Random(seed, `${name} reader`));
    await Promise.all([this.#rotate(), ...writers, reader, hasSnapshots && this.snapshots.run()]);
  }

  stop(): void {
    this.#isStopping = true;
    this.release();
  }

  /** Goes on more slowly. */
  slowDown(): void {
    this.#pace = AT_EASE;
  }

  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** New requests wait until `release`. */
  hold(): void {
    this.#gate ??= new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  release(): void {
    this.#gate = undefined;
    this.#open();
  }

  get quiet(): boolean {
    return this.#underWay.size === 0;
  }

  /** Reads a little of each mirror, if the volume is attached: one that answers errors until it is attached anew is seen so. */
  async revive(): Promise<void> {
    if ((await this.attachment.head()) === undefined) return;
    for (let mirror = 0; mirror < this.options.gigabytes; mirror += 1)
      await this.#readSurely((mirror * GIB) / CELL_BYTES, 1);
  }

  /** Reads all that was ever written and compares it. What failed is attached anew, and read again. */
  async verify(): Promise<void> {
    for (const first of this.areas) await this.#readSurely(first, AREA_CELLS);
  }

  async #readSurely(first: number, count: number): Promise<void> {
    for (let attempts = 1; !(await this.#readOnce(first, count)); attempts += 1)
      if (attempts === 5) throw new Error(`volume ${this.options.name} can't be read`);
  }

  violation(text: string): void {
    if (this.violations.length < 20) this.options.note(`VIOLATION ${text}`);
    if (this.violations.length < 1000) this.violations.push(text);
  }

  /** Cut short by nothing: writers stop at their next turn. */
  async pause(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds;
    while (!this.#isStopping && performance.now() < end)
      await pause(Math.min(200, Math.max(1, end - performance.now())));
  }

  #settle(): void {
    for (const write of this.#unsettled) this.history.leaveInDoubt(write);
    this.#unsettled = [];
  }

  async #rotate(): Promise<void> {
    while (!this.#isStopping) {
      this.#active = Array.from({ length: AREAS_AT_ONCE }, () => this.#choice.pick(this.areas) ?? 0);
      await this.pause(ROTATE_MS);
    }
  }

  async #write(manner: Manner, random: Random): Promise<void> {
    for (let turn = 1; !this.#isStopping; turn += 1) {
      await this.#gate;
      if (this.#isStopping) return;
      if (manner === "flush" && turn % 10 === 0) {
        await this.#request(undefined, (client) => client.flush());
        continue;
      }
      const { first, count } = this.#range(random);
      const kind = random.next();
      const isZero = kind < 0.12;
      const write = this.history.begin(first, count, isZero);
      const [offset, length] = [first * CELL_BYTES, count * CELL_BYTES];
      const data = isZero ? undefined : encodeCells(this.history.volume, first, count, write.sequence);
      await this.#request(write, (client) => {
        if (data !== undefined) return client.write(offset, data, { fua: manner === "fua" });
        return kind < 0.06 ? client.trim(offset, length) : client.zero(offset, length);
      });
      await this.pause(random.between(0, WRITE_PAUSE_MS) * this.#pace);
    }
  }

  async #read(random: Random): Promise<void> {
    while (!this.#isStopping) {
      await this.#gate;
      if (this.#isStopping) return;
      const { first, count } = this.#range(random);
      await this.#readOnce(first, count);
      await this.pause(random.between(0, READ_PAUSE_MS) * this.#pace);
    }
  }

  #range(random: Random): { first: number; count: number } {
    const area = random.pick(this.#active) ?? 0;
    const kind = random.next();
    if (kind < 0.25) {
      // A page, aligned.
      return { first: area + random.between(0, AREA_CELLS / 64 - 1) * 64, count: 64 };
    }
    const most = kind < 0.6 ? 9 : kind < 0.95 ? 400 : 2000;
    const count = random.between(1, most);
    return { first: area + random.between(0, AREA_CELLS - count), count };
  }

  /** @returns false if it was not answered */
  async #readOnce(first: number, count: number): Promise<boolean> {
    let data: Buffer | undefined;
    const read = this.history.beginRead(first, count);
    await this.#request(undefined, async (client) => {
      data = await client.read(first * CELL_BYTES, count * CELL_BYTES);
    });
    if (data === undefined) this.history.abandonRead(read);
    else for (const wrong of this.history.endRead(read, data)) this.violation(wrong);
    return data !== undefined;
  }

  /** One request; without an answer its write is in doubt. */
  async #request(write: Write | undefined, ask: (client: NbdClient) => Promise<unknown>): Promise<void> {
    const work = this.#ask(write, ask);
    this.#underWay.add(work);
    try {
      await work;
    } finally {
      this.#underWay.delete(work);
    }
  }

  async #ask(write: Write | undefined, ask: (client: NbdClient) => Promise<unknown>): Promise<void> {
    const connection = await this.attachment.connected();
    try {
      await connection.ask(ask);
      if (write !== undefined) this.history.acknowledge(write);
    } catch (error) {
      if (write !== undefined) this.#unsettled.push(write);
      if (error instanceof NbdError && error.code !== SHUT_DOWN) this.#onError(error.code);
      this.attachment.abandon("the connection broke", connection);
    }
  }

  #onError(errno: number): void {
    this.errors += 1;
    this.attachment.isRefused = true;
    if (!DISK_ERRORS.includes(errno) || !this.options.mayFail())
      this.violation(`volume ${this.options.name} answered errno ${errno}`);
  }
}

/** Where areas begin, in cells. */
function chooseAreas(size: number, random: Random): number[] {
  const boundaries = [16 * MIB, 32 * MIB, 512 * MIB, GIB].filter((at) => at < size);
  const middles = boundaries.map((at) => at - AREA_BYTES / 2);
  const loose = Array.from({ length: 2 }, () => random.between(40, (size - GIB / 2) / MIB) * MIB);
  const starts = [0, size - AREA_BYTES, ...middles, ...loose].sort((a, b) => a - b);
  return starts
    .filter((at, index) => index === 0 || at >= (starts[index - 1] ?? 0) + AREA_BYTES)
    .map((at) => at / CELL_BYTES);
}
