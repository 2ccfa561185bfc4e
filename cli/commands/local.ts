import type { Command } from "commander";
import { LocalClusterError, planLocalCluster, readLocalCluster, stateFolder } from "../local/folder.js";
import { LocalServer } from "../local/server.js";
import { show } from "./context.js";

/** These commands need no manager: they act on the processes of a local cluster. */
export interface LocalContext {
  readonly environment: NodeJS.ProcessEnv;
  /** If the person wants JSON; known once a command runs. */
  readonly wantsJson: () => boolean;
  readonly print: (...lines: string[]) => void;
}

interface LocalOptions {
  readonly state: string;
}

function localServers(options: LocalOptions): LocalServer[] {
  const folder = stateFolder(options.state);
  const cluster = readLocalCluster(folder);
  if (cluster === undefined) {
    throw new LocalClusterError(`there is no local cluster in ${folder}; start one with "npm start"`);
  }
  const { manager, storage, heads } = planLocalCluster(folder, cluster);
  return [manager, ...storage, ...heads].map((plan) => new LocalServer(plan));
}

function findServer(options: LocalOptions, name: string): LocalServer {
  const servers = localServers(options);
  const server = servers.find(({ plan }) => plan.name === name);
  if (server !== undefined) return server;
  throw new LocalClusterError(
    `there is no "${name}"; known are ${servers.map(({ plan }) => plan.name).join(", ")}`,
  );
}

const pidsOf = (server: LocalServer): number[] => server.processes().map(({ pid }) => pid);

interface ServerRow {
  readonly name: string;
  readonly address: string;
  readonly pids: readonly number[];
}

function listServers(servers: readonly LocalServer[]): ServerRow[] {
  return servers.map((server) => {
    const { name, address } = server.plan;
    return { name, address, pids: pidsOf(server) };
  });
}

const serverLine = ({ name, address, pids }: ServerRow): string =>
  `${name.padEnd(12)}${address.padEnd(16)}${pids.join(" ") || "not running"}`;

/** `vas local …`: what a person does to the servers of the cluster that `npm start` runs. */
export function addLocalCommands(program: Command, context: LocalContext): void {
  const group = program
    .command("local")
    .description('lose and bring back servers of the cluster of "npm start"');
  const add = (name: string): Command =>
    group.command(name).option("--state <folder>", "folder of the local cluster", ".vastsky");

  const print = (answer: unknown, lines: () => readonly string[]): void =>
    show({ ...context, json: context.wantsJson() }, answer, lines);

  add("list")
    .description("show what runs where")
    .action((options: LocalOptions) => {
      const rows = listServers(localServers(options));
      print(rows, () => rows.map(serverLine));
    });

  add("kill")
    .description("kill all processes of a server with -9, as if the machine had lost power")
    .argument("<server>", "manager, storage-N or head-N")
    .action(async (name: string, options: LocalOptions) => {
      const server = findServer(options, name);
      const pids = pidsOf(server);
      await server.kill();
      const said = pids.length === 0 ? `${name} was not running` : `killed ${name}: ${pids.join(" ")}`;
      print({ name, killed: pids }, () => [said]);
    });

  add("start")
    .description("start a server again")
    .argument("<server>", "manager, storage-N or head-N")
    .action((name: string, options: LocalOptions) => {
      const server = findServer(options, name);
      if (server.control().length > 0) throw new LocalClusterError(`${name} is running already`);
      server.start(context.environment);
      print({ name }, () => [`started ${name}`]);
    });
}
