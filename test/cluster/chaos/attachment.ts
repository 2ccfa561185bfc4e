import { setTimeout as pause } from "node:timers/promises";
import { BindEvent, BindStatus } from "../../../shared/states.js";
import type { TestCluster } from "../../harness/cluster.js";
import { NbdClient } from "../../harness/nbd-client.js";
import type { TestServer } from "../../harness/test-server.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { Random } from "./random.js";

/** A volume that can't be had for longer than this, while there are faults, is stuck. */
const STUCK_MS = 300_000;
const CONNECT_MS = 3000;
/** Many volumes ask at once. */
const ASK_PAUSE_MS = 150;

/** A connection, and those who still wait for its answers. */
export class Connection {
  isOver = false;
  readonly #waiting = new Set<(error: Error) => void>();

  constructor(readonly client: NbdClient) {}

  /** Rejects at the latest when the connection is abandoned, and leaves nothing behind: a connection may last for hours. */
  ask(request: (client: NbdClient) => Promise<unknown>): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      this.#waiting.add(reject);
      const leave = (): void => void this.#waiting.delete(reject);
      request(this.client)
        .then(() => resolve(), reject)
        .finally(leave);
    });
  }

  abandon(why: string): void {
    this.isOver = true;
    for (const reject of this.#waiting) reject(new Error(why));
  }
}

export interface AttachmentOptions {
  readonly cluster: TestCluster;
  readonly lvolid: number;
  readonly name: string;
  readonly note: (text: string) => void;
}

/** Has a volume attached to some head and connected, whatever happens to heads. */
export class Attachment {
  /** The head to attach to when the volume is attached nowhere. */
  preferred: TestServer | undefined;
  /** It answers errors until it is attached anew. */
  isRefused = false;
  /** It is to stay detached until this is over. */
  rest: Promise<void> | undefined;
  #connection: Connection | undefined;
  #connecting: Promise<Connection> | undefined;

  constructor(
    readonly options: AttachmentOptions,
    private readonly choice: Random,
    /** The volume is in the hands of another process, or of the same one in a new life: what the old connection carried has landed or never will. */
    private readonly onConnected: () => void,
  ) {}

  /** However long that takes while there are faults. */
  connected(): Promise<Connection> {
    if (this.#connection !== undefined && !this.#connection.isOver) return Promise.resolve(this.#connection);
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    return this.#connecting;
  }

  /** Whoever waits for answers of this connection waits no more. */
  abandon(why: string, connection = this.#connection): void {
    connection?.abandon(why);
    connection?.client.close().catch(() => undefined);
    if (this.#connection === connection) this.#connection = undefined;
  }

  async close(): Promise<void> {
    const connection = this.#connection;
    this.#connection = undefined;
    await connection?.client.close();
  }

  /** The head that it is attached to. */
  async head(): Promise<TestServer | undefined> {
    const [volume] = await this.options.cluster.api("listLogicalVolumes", { lvolid: this.options.lvolid });
    return volume && this.#headOf(volume.hsvrid);
  }

  async #headOf(hsvrid: number): Promise<TestServer | undefined> {
    const { cluster } = this.options;
    const listed = (await cluster.api("listHeadServers", {})).find((head) => head.hsvrid === hsvrid);
    return cluster.heads.find(({ plan }) => listed?.ip_data.includes(plan.address));
  }

  async #connect(): Promise<Connection> {
    const { name, note } = this.options;
    const client = await waitUntil(
      `volume ${name} can be used`,
      async () => {
        const made = await this.#tryToConnect();
        if (made === undefined) await pause(ASK_PAUSE_MS);
        return made;
      },
      STUCK_MS,
    );
    this.onConnected();
    note(`volume ${name} is connected`);
    this.#connection = new Connection(client);
    return this.#connection;
  }

  async #tryToConnect(): Promise<NbdClient | undefined> {
    const { cluster, lvolid, name, note } = this.options;
    await this.rest;
    const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
    if (volume === undefined || volume.bind_event !== BindEvent.NONE) return undefined;
    if (volume.bind_status === BindStatus.ERROR) {
      note(`volume ${name}: attach had failed: ${volume.bind_error}`);
      await this.#detach();
    } else if (volume.bind_status === BindStatus.UNBOUND) {
      const head = this.preferred ?? this.choice.pick(cluster.heads);
      this.preferred = undefined;
      if (head !== undefined) await this.#attach(head);
    } else if (this.isRefused) {
      note(`volume ${name} answered an error and is attached anew`);
      await this.#detach();
      this.isRefused = false;
    } else {
      const head = await this.#headOf(volume.hsvrid);
      return head && connectWithin(head.socket(name));
    }
    return undefined;
  }

  async #attach(head: TestServer): Promise<void> {
    const { cluster, lvolid, name, note } = this.options;
    note(`volume ${name} is to be attached to ${head.plan.name}`);
    await cluster
      .api("attachLogicalVolume", { lvolid, hsvrid: await cluster.headServerId(head) })
      .catch((error: unknown) => note(`volume ${name}: ${String(error)}`));
  }

  async #detach(): Promise<void> {
    const { cluster, lvolid, name, note } = this.options;
    await cluster
      .api("detachLogicalVolume", { lvolid })
      .catch((error: unknown) => note(`volume ${name}: ${String(error)}`));
  }
}

/** A frozen process takes connections and says nothing. */
export async function connectWithin(path: string): Promise<NbdClient | undefined> {
  const making = NbdClient.connect({ path });
  const limit = new AbortController();
  const late = pause(CONNECT_MS, undefined, { signal: limit.signal }).catch(() => undefined);
  const client = await Promise.race([making, late]);
  limit.abort();
  if (client === undefined) void making.then((unused) => unused.close()).catch(() => undefined);
  return client ?? undefined;
}
