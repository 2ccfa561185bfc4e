import { setTimeout as pause } from "node:timers/promises";
import { type ErrorName, errorNameOf } from "../../../shared/errors.js";
import { BindEvent, BindStatus } from "../../../shared/states.js";
import { XmlRpcFault } from "../../../shared/xmlrpc/fault.js";
import type { TestCluster } from "../../harness/cluster.js";
import { NbdClient } from "../../harness/nbd-client.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import { Random } from "../chaos/random.js";
import { ByteModel, type Change, type Window } from "./byte-model.js";
import { killSomething, reviveAll } from "./kills.js";

/** For so long a request may wait for something that was killed and is not started again by itself. */
const PATIENCE_MS = 1500;
/** A process dies at any time within so long after a step has begun. */
const KILL_WITHIN_MS = 400;
const MOST_SNAPSHOTS = 3;

interface Snapshot {
  readonly name: string;
  readonly model: ByteModel;
}

/** The life of one volume: created, used, snapshot, moved and deleted, while processes are killed. */
export class RandomRun {
  readonly #model = new ByteModel();
  readonly #random: Random;
  /** A stream of its own, since kills and steps go on at the same time. */
  readonly #kills: Random;
  readonly #snapshots: Snapshot[] = [];
  readonly #name: string;
  #lvolid = 0;
  #client: NbdClient | undefined;
  #connecting: Promise<NbdClient> | undefined;
  #taken = 0;
  /** What was done, for the report of a failure. */
  readonly steps: string[] = [];

  constructor(
    private readonly cluster: TestCluster,
    seed: number,
    run: number,
  ) {
    this.#random = new Random(seed, `run ${run}`);
    this.#kills = new Random(seed, `kills ${run}`);
    this.#name = `v${run}`;
  }

  readonly #actions = [
    { weight: 8, isKill: false, run: () => this.#write() },
    { weight: 2, isKill: false, run: () => this.#verify() },
    { weight: 1, isKill: false, run: () => this.#request((client) => client.flush()) },
    { weight: 3, isKill: false, run: () => this.#takeSnapshot() },
    { weight: 3, isKill: false, run: () => this.#verifySnapshot() },
    { weight: 2, isKill: false, run: () => this.#deleteSnapshot() },
    { weight: 1, isKill: false, run: () => this.#detach() },
    { weight: 3, isKill: true, run: () => this.#kill() },
  ];

  /** @throws Error if anything is not as the model says. */
  async run(): Promise<void> {
    await this.#create();
    const count = this.#random.between(5, 10);
    for (let step = 0; step < count; step += 1) await this.#random.weighted(this.#actions)?.run();
    await reviveAll(this.cluster);
    await this.#verify();
    for (const snapshot of this.#snapshots) await this.#verifyOne(snapshot);
    await this.#delete();
  }

  #note(text: string): void {
    this.steps.push(text);
  }

  async #create(): Promise<void> {
    const redundancy = this.#random.between(2, 3);
    this.#note(`create with ${redundancy} copies`);
    const params = { lvolname: this.#name, capacity: 1, redundancy };
    await this.#insist("create", async () => {
      await this.cluster.api("createLogicalVolume", params).catch(unless("EEXIST"));
      this.#lvolid = (await this.#volume())?.lvolid ?? 0;
    });
  }

  async #volume(name = this.#name) {
    const params = { lvolname: name };
    const [found] = await this.cluster.api("listLogicalVolumes", params).catch(unless("ENOENT", []));
    return found;
  }

  /** Repeats a call until it succeeds: whoever it needs may have been killed just now, and is started again. */
  async #insist(what: string, call: () => Promise<unknown>): Promise<void> {
    let isFirst = true;
    await waitUntil(`${what} of ${this.#name} succeeds`, async () => {
      if (!isFirst) await reviveAll(this.cluster);
      isFirst = false;
      await call();
      return true;
    });
  }

  /** The volume, attached and opened. */
  #connected(): Promise<NbdClient> {
    if (this.#client !== undefined && !this.#client.isBroken) return Promise.resolve(this.#client);
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  async #connect(): Promise<NbdClient> {
    this.#client = undefined;
    await this.#insist("attach", async () => {
      const volume = await this.#volume();
      if (volume === undefined || volume.bind_event !== BindEvent.NONE) throw new Error("it is on its way");
      if (volume.bind_status === BindStatus.UNBOUND) {
        const head = this.#random.pick(this.cluster.heads) as TestServer; // there are some
        this.#note(`attach to ${head.plan.name}`);
        const hsvrid = await this.cluster.headServerId(head);
        await this.cluster.api("attachLogicalVolume", { lvolid: this.#lvolid, hsvrid });
      } else if (volume.bind_status === BindStatus.ERROR) {
        await this.cluster.api("detachLogicalVolume", { lvolid: this.#lvolid });
      }
      this.#client = await this.#open(this.#name);
    });
    return this.#client as unknown as NbdClient; // #insist returned
  }

  async #open(name: string): Promise<NbdClient> {
    const head = await this.#head();
    return NbdClient.connect({ path: head.socket(name) });
  }

  async #head(): Promise<TestServer> {
    const { hsvrid } = (await this.#volume()) ?? { hsvrid: 0 };
    for (const head of this.cluster.heads)
      if ((await this.cluster.headServerId(head)) === hsvrid) return head;
    throw new Error("it is attached nowhere");
  }

  /** One request. @returns undefined if its connection ended before it was answered. */
  async #request<T>(ask: (client: NbdClient) => Promise<T>): Promise<T | undefined> {
    const client = await this.#connected();
    const stalled = setInterval(() => void reviveAll(this.cluster).catch(() => undefined), PATIENCE_MS);
    try {
      return await ask(client);
    } catch (error) {
      // A volume process that was killed; anything that it answers but success is a defect.
      if (!client.isBroken) throw error;
      this.#client = undefined;
      return undefined;
    } finally {
      clearInterval(stalled);
    }
  }

  async #write(): Promise<void> {
    await Promise.all(
      Array.from({ length: this.#random.chance(0.2) ? 3 : 1 }, (_, lane) => this.#writeOnce(lane)),
    );
  }

  /** Writes of different lanes never overlap, so that their order is of no matter. */
  async #writeOnce(lane: number): Promise<void> {
    const windows = ByteModel.windows;
    const window = this.#random.pick(windows) as Window; // there are some
    const third = Math.floor(window.length / 3);
    const length = this.#random.chance(0.3) ? third : this.#random.between(1, 9000);
    const at = lane * third + this.#random.between(0, third - length);
    const kind = this.#random.between(0, 9);
    const fill = this.#random.between(1, 255);
    const bytes = Buffer.alloc(length, kind < 2 ? 0 : fill);
    const change: Change = { window, at, bytes };
    this.#note(
      `${kind === 0 ? "trim" : kind === 1 ? "zero" : "write"} ${window.offset + at}+${length} ${fill}`,
    );
    const client = await this.#connected();
    this.#model.begin(change);
    const answer = await this.#request(async () => {
      if (kind === 0) await client.trim(window.offset + at, length);
      else if (kind === 1) await client.zero(window.offset + at, length);
      else await client.write(window.offset + at, bytes, { fua: kind === 2 });
      return true;
    });
    if (answer === true) this.#model.acknowledge(change);
  }

  async #verify(): Promise<void> {
    this.#note("verify");
    for (const window of ByteModel.windows) {
      let read: Buffer | undefined;
      while (read === undefined)
        read = await this.#request((client) => client.read(window.offset, window.length));
      this.#assert(this.#name, this.#model.compare(window, read));
    }
  }

  #assert(name: string, wrong: string | undefined): void {
    if (wrong !== undefined) throw new Error(`${name}: ${wrong}`);
  }

  async #takeSnapshot(): Promise<void> {
    if (this.#snapshots.length >= MOST_SNAPSHOTS) return;
    this.#taken += 1;
    const name = `${this.#name}-s${this.#taken}`;
    this.#note(`snapshot ${name}`);
    // Nothing is written meanwhile, so the content is that of now whenever the instant is.
    const params = { origin_lvolid: this.#lvolid, snapshot_lvolname: name };
    const model = this.#model.copy();
    await this.#insist("snapshot", async () => {
      await this.cluster.api("createSnapshot", params).catch(unless("EEXIST"));
      const status = (await this.#volume(name))?.snapshot_status;
      if (status !== "VALID") throw new Error(`snapshot ${name} is ${status ?? "not there"}`);
    });
    this.#snapshots.push({ name, model });
  }

  async #verifySnapshot(): Promise<void> {
    const snapshot = this.#random.pick(this.#snapshots);
    if (snapshot !== undefined) await this.#verifyOne(snapshot);
  }

  async #verifyOne({ name, model }: Snapshot): Promise<void> {
    this.#note(`verify ${name}`);
    await this.#insist("reading a snapshot", async () => {
      await this.#connected();
      const status = (await this.#volume(name))?.snapshot_status;
      if (status !== "VALID") throw new Error(`snapshot ${name} is ${status ?? "not there"}`);
      const client = await this.#open(name);
      try {
        for (const window of ByteModel.windows) {
          const wrong = model.compare(window, await client.read(window.offset, window.length));
          if (wrong !== undefined) this.#wrong = `${name}: ${wrong}`;
        }
      } finally {
        await client.close();
      }
    });
    this.#assert(name, this.#wrong);
  }

  /** What is wrong with a snapshot; not thrown where it is found, since that would be repeated. */
  #wrong: string | undefined;

  async #deleteSnapshot(): Promise<void> {
    const snapshot = this.#random.pick(this.#snapshots);
    if (snapshot === undefined) return;
    this.#note(`delete ${snapshot.name}`);
    this.#snapshots.splice(this.#snapshots.indexOf(snapshot), 1);
    await this.#insist("deleting a snapshot", () => this.#remove(snapshot.name));
  }

  async #remove(name: string): Promise<void> {
    await this.cluster.api("deleteLogicalVolume", { lvolname: name }).catch(unless("ENOENT"));
    if ((await this.#volume(name)) !== undefined) throw new Error(`${name} is still there`);
  }

  async #detach(): Promise<void> {
    this.#note("detach");
    await this.#client?.close();
    this.#client = undefined;
    await this.#insist("detach", () => this.cluster.api("detachLogicalVolume", { lvolid: this.#lvolid }));
  }

  async #delete(): Promise<void> {
    await this.#detach();
    for (const { name } of this.#snapshots)
      await this.#insist("deleting a snapshot", () => this.#remove(name));
    await this.#insist("delete", () => this.#remove(this.#name));
  }

  /** A process dies during, or just before, the next step. */
  async #kill(): Promise<void> {
    const random = this.#kills;
    const killing = pause(this.#random.between(0, KILL_WITHIN_MS)).then(async () =>
      this.#note(`  killed ${await killSomething(this.cluster, random)}`),
    );
    await Promise.all([killing, this.#random.weighted(this.#actions.filter(({ isKill }) => !isKill))?.run()]);
  }
}

/** For `catch`: takes a fault with this errno name for an answer. */
function unless<T>(errno: ErrorName, answer?: T): (error: unknown) => T {
  return (error) => {
    if (error instanceof XmlRpcFault && errorNameOf(error.code) === errno) return answer as T;
    throw error;
  };
}
