import { setTimeout as pause } from "node:timers/promises";
import { BindEvent, BindStatus } from "../../../shared/states.js";
import { GIB, MIB } from "../../../shared/units.js";
import type { TestCluster } from "../../harness/cluster.js";
import { NbdClient } from "../../harness/nbd-client.js";
import { NbdError } from "../../harness/nbd-handshake.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import { CELL_BYTES, encodeCells } from "./cells.js";
import { History, type Write } from "./history.js";
import { Random } from "./random.js";

/** Where a volume is written: pieces that lie across the boundaries of regions, chunks and mirrors, and at its ends. */
const AREA_CELLS = 8192;
const AREA_BYTES = AREA_CELLS * CELL_BYTES;
/** Areas written at one time, so that others fall idle and their bits are cleared. */
const AREAS_AT_ONCE = 3;
const ROTATE_MS = 7000;
/** A volume that can't be had for longer than this, while there are faults, is stuck. */
const STUCK_MS = 240_000;
const CONNECT_MS = 3000;
/** NBD_ESHUTDOWN: the volume process was fenced. */
const SHUT_DOWN = 108;
const EIO = 5;
/** For so long after a storage server seemed to lose writes, a last good copy may be refused. */
const LOST_WRITES_MS = 60_000;

/** How a writer behaves: FUA on each write, a flush now and then, or neither. */
type Manner = "fua" | "flush" | "plain";

/** The end of one connection, for those who still wait for its answers. */
class Connection {
  isOver = false;
  readonly over: Promise<never>;
  readonly #end: (error: Error) => void;

  constructor(readonly client: NbdClient) {
    let end: (error: Error) => void = () => undefined;
    this.over = new Promise((_, reject) => {
      end = reject;
    });
    this.over.catch(() => undefined);
    this.#end = end;
  }

  abandon(why: string): void {
    this.isOver = true;
    this.#end(new Error(why));
  }
}

export interface UserOptions {
  readonly cluster: TestCluster;
  readonly seed: number;
  readonly lvolid: number;
  readonly name: string;
  readonly gigabytes: number;
  readonly note: (text: string) => void;
}

/** An application that uses one volume: writers, a reader, and the attaching to a head that serves it. */
export class VolumeUser {
  readonly history: History;
  /** What was read that can't be, and answers that should not have come. */
  readonly violations: string[] = [];
  readonly areas: readonly number[];
  /** The head to attach to when the volume is attached nowhere. */
  preferred: TestServer | undefined;
  #connection: Connection | undefined;
  #connecting: Promise<Connection> | undefined;
  #gate: Promise<void> | undefined;
  #open: () => void = () => undefined;
  readonly #underWay = new Set<Promise<unknown>>();
  /** Writes whose connection ended before they were answered. */
  #unsettled: Write[] = [];
  #active: readonly number[] = [];
  #isStopping = false;
  #lostWritesUntil = 0;
  /** It answers EIO until it is attached anew. */
  #isRefused = false;
  readonly #choice: Random;

  constructor(readonly options: UserOptions) {
    const { lvolid, gigabytes, seed, name } = options;
    this.history = new History(lvolid);
    this.#choice = new Random(seed, `user ${name}`);
    const size = gigabytes * GIB;
    const boundaries = [16 * MIB, 32 * MIB, 512 * MIB, GIB, 2 * GIB, 300 * MIB].filter((at) => at < size);
    const middles = boundaries.map((at) => at - AREA_BYTES / 2);
    const loose = Array.from({ length: 3 }, () => this.#choice.between(40, (size - GIB / 2) / MIB) * MIB);
    const starts = [0, size - AREA_BYTES, ...middles, ...loose].sort((a, b) => a - b);
    this.areas = starts
      .filter((at, index) => index === 0 || at >= (starts[index - 1] ?? 0) + AREA_BYTES)
      .map((at) => at / CELL_BYTES);
  }

  /** All that may ever have been written. */
  get ranges(): readonly { readonly offset: number; readonly length: number }[] {
    return this.areas.map((first) => ({ offset: first * CELL_BYTES, length: AREA_BYTES }));
  }

  /** Writes and reads until `stop`. */
  async run(): Promise<void> {
    const { seed, name } = this.options;
    this.#isStopping = false;
    const manners: Manner[] = ["fua", "flush", "plain", "plain"];
    const writers = manners.map((manner, index) =>
      this.#write(manner, new Random(seed, `${name} writer ${index}`)),
    );
    await Promise.all([this.#rotate(), ...writers, this.#read(new Random(seed, `${name} reader`))]);
  }

  stop(): void {
    this.#isStopping = true;
    this.release();
  }

  /** A storage server is about to lose what was not flushed, as far as the volume process can know. */
  expectLostWrites(): void {
    this.#lostWritesUntil = performance.now() + LOST_WRITES_MS;
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

  /** Whoever waits for answers of this connection waits no more; the writes are in doubt until there is another. */
  abandon(why: string): void {
    this.#connection?.abandon(why);
    this.#connection = undefined;
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.client.close();
  }

  /** Reads all that was ever written and compares it. */
  async verify(): Promise<void> {
    for (const first of this.areas) await this.#readOnce(first, AREA_CELLS);
  }

  /** Has the volume attached and connected, however long that takes while there are faults. */
  connected(): Promise<Connection> {
    if (this.#connection !== undefined && !this.#connection.isOver) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connect(): Promise<Connection> {
    const { name, note } = this.options;
    const client = await waitUntil(`volume ${name} can be used`, () => this.#tryToConnect(), STUCK_MS);
    // Whatever the old connection carried has landed or never will: another process has the volume, or the same one
    // in a new life.
    for (const write of this.#unsettled) this.history.leaveInDoubt(write);
    this.#unsettled = [];
    note(`volume ${name} is connected`);
    this.#connection = new Connection(client);
    return this.#connection;
  }

  async #tryToConnect(): Promise<NbdClient | undefined> {
    const { cluster, lvolid, name, note } = this.options;
    const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
    if (volume === undefined || volume.bind_event !== BindEvent.NONE) return undefined;
    if (volume.bind_status === BindStatus.ERROR) {
      note(`volume ${name}: attach had failed: ${volume.bind_error}`);
      await cluster.api("detachLogicalVolume", { lvolid });
      return undefined;
    }
    if (volume.bind_status === BindStatus.UNBOUND) {
      const head = this.preferred ?? this.#choice.pick(cluster.heads);
      this.preferred = undefined;
      if (head === undefined) return undefined;
      note(`volume ${name} is to be attached to ${head.plan.name}`);
      await cluster
        .api("attachLogicalVolume", { lvolid, hsvrid: await cluster.headServerId(head) })
        .catch((error: unknown) => note(`volume ${name}: ${String(error)}`));
      return undefined;
    }
    if (this.#isRefused) {
      note(`volume ${name} answered EIO and is attached anew`);
      await cluster
        .api("detachLogicalVolume", { lvolid })
        .catch((error: unknown) => note(`volume ${name}: ${String(error)}`));
      this.#isRefused = false;
      return undefined;
    }
    for (const head of cluster.heads) {
      if ((await cluster.headServerId(head)) === volume.hsvrid) return connectWithin(head.socket(name));
    }
    return undefined;
  }

  async #rotate(): Promise<void> {
    while (!this.#isStopping) {
      this.#active = Array.from({ length: AREAS_AT_ONCE }, () => this.#choice.pick(this.areas) ?? 0);
      await this.#pause(ROTATE_MS);
    }
  }

  /** Cut short by nothing: writers stop at their next turn. */
  async #pause(milliseconds: number): Promise<void> {
    const end = performance.now() + milliseconds;
    while (!this.#isStopping && performance.now() < end)
      await pause(Math.min(200, Math.max(1, end - performance.now())));
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
      await this.#pause(random.between(0, 25));
    }
  }

  async #read(random: Random): Promise<void> {
    while (!this.#isStopping) {
      await this.#gate;
      if (this.#isStopping) return;
      const { first, count } = this.#range(random);
      await this.#readOnce(first, count).catch(() => undefined);
      await this.#pause(random.between(0, 80));
    }
  }

  #range(random: Random): { first: number; count: number } {
    const area = random.pick(this.#active) ?? 0;
    const kind = random.next();
    if (kind < 0.25) {
      // A page, aligned.
      return { first: area + random.between(0, AREA_CELLS / 64 - 1) * 64, count: 64 };
    }
    const most = kind < 0.6 ? 9 : kind < 0.93 ? 600 : 4500;
    const count = random.between(1, most);
    return { first: area + random.between(0, AREA_CELLS - count), count };
  }

  async #readOnce(first: number, count: number): Promise<void> {
    let data: Buffer | undefined;
    const read = this.history.beginRead(first, count);
    await this.#request(undefined, async (client) => {
      data = await client.read(first * CELL_BYTES, count * CELL_BYTES);
    });
    if (data === undefined) throw new Error("the connection ended");
    for (const wrong of this.history.endRead(read, data)) this.#violation(wrong);
  }

  #violation(text: string): void {
    if (this.violations.length < 20) this.options.note(`VIOLATION ${text}`);
    this.violations.push(text);
  }

  /** One request; without an answer its write is in doubt. */
  async #request(write: Write | undefined, ask: (client: NbdClient) => Promise<unknown>): Promise<void> {
    const work = this.#ask(write, ask);
    this.#underWay.add(work);
    await work;
    this.#underWay.delete(work);
  }

  async #ask(write: Write | undefined, ask: (client: NbdClient) => Promise<unknown>): Promise<void> {
    const connection = await this.connected();
    try {
      await Promise.race([ask(connection.client), connection.over]);
      if (write !== undefined) this.history.acknowledge(write);
    } catch (error) {
      if (write !== undefined) this.#unsettled.push(write);
      const isRefusal =
        error instanceof NbdError && error.code === EIO && performance.now() < this.#lostWritesUntil;
      if (isRefusal) this.#isRefused = true;
      else if (error instanceof NbdError && error.code !== SHUT_DOWN)
        this.#violation(`volume ${this.options.name} answered errno ${error.code}`);
      if (this.#connection === connection) this.abandon("the connection broke");
      connection.isOver = true;
      if (!(error instanceof NbdError)) return;
      connection.client.close().catch(() => undefined);
    }
  }
}

/** A frozen process takes connections and says nothing. */
async function connectWithin(path: string): Promise<NbdClient | undefined> {
  const making = NbdClient.connect({ path });
  const limit = new AbortController();
  const late = pause(CONNECT_MS, undefined, { signal: limit.signal }).catch(() => undefined);
  const client = await Promise.race([making, late]);
  limit.abort();
  if (client === undefined) void making.then((unused) => unused.close()).catch(() => undefined);
  return client ?? undefined;
}
