import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readlinkSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { MANAGER_PORT } from "../../cli/local/plan.js";
import { FOLDER_TAG, findProcesses, killAll } from "../../cli/local/processes.js";
import { confPath, logPath, type ServerKind, type ServerPlan } from "../../cli/local/server.js";
import { requireRoot } from "./require-root.js";
import { waitUntil } from "./wait-until.js";

const PORTS: Readonly<Record<ServerKind, number>> = { manager: MANAGER_PORT, head: 8882, storage: 8883 };
const PROGRAMS: Readonly<Record<ServerKind, string>> = {
  manager: "manager/main.js",
  storage: "agents/storage/main.js",
  head: "agents/head/main.js",
};
const dist = fileURLToPath(new URL("../../dist/", import.meta.url));
const relayProgram = fileURLToPath(new URL("relay.mjs", import.meta.url));

/** Host byte of the namespace that joins the servers' ones. */
const HUB_HOST_BYTE = 254;

/** A direction of a link: what `from` sends does not arrive at `to`. */
export interface OneWay {
  readonly from: { readonly plan: ServerPlan };
  readonly to: { readonly plan: ServerPlan };
}

/** Addresses in the namespaces, for a cluster that has a block of loopback addresses outside. */
export const innerPrefix = (outer: string): string => outer.replace(/^127\./, "10.");

/**
 * Network namespaces of one cluster: one for each server, joined by a bridge in one more. None of them has a name or a
 * way to the outside, so nothing of the machine's own network is touched. Each lives as long as a process in it: an idle one
 * keeps a server's namespace while the server is dead. These carry the tags of the cluster's processes, so that what a
 * killed test leaves behind is found and ended like the servers themselves, and all of this is gone with it.
 *
 * A cut link drops what arrives from an address, silently and for connections that exist too, as a pulled cable does.
 *
 * The test process is outside. It reaches each server's XML-RPC at the loopback address with the same last three bytes.
 */
export class Network {
  readonly #folder: string;
  readonly #holders: ReadonlyMap<string, number>;
  readonly #doors: readonly Server[];
  readonly #sockets: ReadonlySet<Socket>;

  private constructor(
    folder: string,
    holders: ReadonlyMap<string, number>,
    doors: readonly Server[],
    sockets: ReadonlySet<Socket>,
  ) {
    this.#folder = folder;
    this.#holders = holders;
    this.#doors = doors;
    this.#sockets = sockets;
  }

  /**
   * @param folder of the network's own, in that of the cluster
   * @param plans servers, with addresses `10.x.y.N`
   */
  static async create(
    folder: string,
    plans: readonly ServerPlan[],
    environment: NodeJS.ProcessEnv,
  ): Promise<Network> {
    requireRoot("network namespaces");
    mkdirSync(folder, { recursive: true });
    const sockets = new Set<Socket>();
    const doors: Server[] = [];
    const holders = new Map<string, number>();
    const network = new Network(folder, holders, doors, sockets);
    try {
      const relay = join(folder, "relay");
      const env = { ...environment, [FOLDER_TAG]: folder };
      const hub = await hold(env, process.execPath, relayProgram, relay);
      for (const { name } of plans) holders.set(name, await hold(env, "sleep", "infinity"));
      connectAll(hub, plans, holders);
      await waitUntil("the relay listens", () => existsSync(relay), 120_000);
      for (const plan of plans) doors.push(await openDoor(plan, relay, sockets));
      return network;
    } catch (error) {
      await network.close();
      throw error;
    }
  }

  /** Where the test process reaches a server. */
  outerAddress(plan: ServerPlan): string {
    return outerAddress(plan);
  }

  /** Starts the control process of a server in its namespace, and all else as `LocalServer.start` does. */
  start(plan: ServerPlan, environment: NodeJS.ProcessEnv): ChildProcess {
    const log = openSync(logPath(plan), "a");
    const program = join(dist, PROGRAMS[plan.kind]);
    const words = [namespaceOf(this.#holder(plan)), process.execPath, program, "--config", confPath(plan)];
    const child = spawn("nsenter", words, {
      cwd: plan.folder,
      detached: true,
      env: { ...environment, [FOLDER_TAG]: plan.folder },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    child.unref();
    return child;
  }

  /** Nothing that one of them sends arrives at the other. */
  cut(one: OneWay["from"], other: OneWay["to"]): void {
    this.cutOneWay({ from: one, to: other });
    this.cutOneWay({ from: other, to: one });
  }

  cutOneWay({ from, to }: OneWay): void {
    this.#nft(to.plan, `add element inet vas silenced { ${from.plan.address} }`);
  }

  /** Mends both directions; one that was not cut stays as it is. */
  heal(one: OneWay["from"], other: OneWay["to"]): void {
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      // Adding first: deleting what is not there is an error.
      const element = `element inet vas silenced { ${from.plan.address} }`;
      this.#nft(to.plan, `add ${element}; delete ${element}`);
    }
  }

  async close(): Promise<void> {
    for (const door of this.#doors) door.close();
    for (const socket of this.#sockets) socket.destroy();
    await killAll(() => findProcesses((folder) => folder === this.#folder));
  }

  #holder({ name }: ServerPlan): number {
    const pid = this.#holders.get(name);
    if (pid === undefined) throw new Error(`${name} is not in this network`);
    return pid;
  }

  #nft(plan: ServerPlan, command: string): void {
    execFileSync("nsenter", [namespaceOf(this.#holder(plan)), "nft", command]);
  }
}

const namespaceOf = (pid: number): string => `--net=/proc/${pid}/ns/net`;
const outerAddress = ({ address }: ServerPlan): string => address.replace(/^10\./, "127.");

/** Starts a program in a network namespace of its own. @returns its pid, once it is there */
async function hold(env: NodeJS.ProcessEnv, ...words: string[]): Promise<number> {
  const child = spawn("unshare", ["--net", ...words], { env, detached: true, stdio: "ignore" });
  child.unref();
  const failure = new Promise<never>((_, reject) => child.once("error", reject));
  failure.catch(() => undefined);
  const own = readlinkSync("/proc/self/ns/net");
  const { pid } = child;
  if (pid === undefined) return failure;
  await waitUntil("a network namespace is made", () => readlinkSync(`/proc/${pid}/ns/net`) !== own, 120_000);
  return pid;
}

/** A cable from every server's namespace to a switch in the hub, and a set of addresses whose packets are dropped. */
function connectAll(hub: number, plans: readonly ServerPlan[], holders: ReadonlyMap<string, number>): void {
  const rules =
    "table inet vas { set silenced { type ipv4_addr; }; " +
    "chain arriving { type filter hook input priority 0; ip saddr @silenced drop; }; }";
  const hubAddress = `${plans[0]?.address.replace(/\d+$/, "")}${HUB_HOST_BYTE}`;
  const script = [
    "ip link set lo up",
    "ip link add switch type bridge",
    `ip address add ${hubAddress}/24 dev switch`,
    "ip link set switch up",
  ];
  for (const { name, address } of plans) {
    const pid = holders.get(name) ?? 0;
    const inside = `nsenter ${namespaceOf(pid)}`;
    script.push(
      `ip link add ${name} type veth peer name eth0 netns ${pid}`,
      `ip link set ${name} master switch up`,
      `${inside} ip link set lo up`,
      `${inside} ip address add ${address}/24 dev eth0`,
      `${inside} ip link set eth0 up`,
      `${inside} nft '${rules}'`,
    );
  }
  execFileSync("nsenter", [namespaceOf(hub), "sh", "-e", "-c", script.join("\n")]);
}

/** Listens outside, where the server would listen if it were not in a namespace, and passes connections on. */
function openDoor(plan: ServerPlan, relay: string, sockets: Set<Socket>): Promise<Server> {
  const port = PORTS[plan.kind];
  const door = createServer((client) => {
    const server = connect(relay);
    server.write(`${plan.address} ${port}\n`);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => undefined);
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroy();
      });
      socket.pipe(other);
    }
  });
  return new Promise((resolve, reject) => {
    door.once("error", reject);
    door.listen({ host: outerAddress(plan), port, exclusive: true }, () => resolve(door));
    door.unref();
  });
}
