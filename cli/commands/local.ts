import type { Command } from "commander";
import { LocalClusterError, planLocalCluster, readLocalCluster, stateFolder } from "../local/folder.js";
import { LocalServer } from "../local/server.js";

/** These commands need no manager: they act on the processes of a local cluster. */
export interface LocalContext {
  readonly environment: NodeJS.ProcessEnv;
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

const pidsOf = (server: LocalServer): string =>
  server
    .processes()
    .map(({ pid }) => pid)
    .join(" ");

/** `vas local …`: what a person does to the servers of the cluster that `npm start` runs. */
export function addLocalCommands(program: Command, context: LocalContext): void {
  const group = program
    .command("local")
    .description('lose and bring back servers of the cluster of "npm start"');
  const add = (name: string): Command =>
    group.command(name).option("--state <folder>", "folder of the local cluster", ".vastsky");

  add("list")
    .description("show what runs where")
    .action((options: LocalOptions) => {
      for (const server of localServers(options)) {
        const { name, address } = server.plan;
        context.print(`${name.padEnd(12)}${address.padEnd(16)}${pidsOf(server) || "not running"}`);
      }
    });

  add("kill")
    .description("kill all processes of a server with -9, as if the machine had lost power")
    .argument("<server>", "manager, storage-N or head-N")
    .action(async (name: string, options: LocalOptions) => {
      const server = findServer(options, name);
      const pids = pidsOf(server);
      await server.kill();
      context.print(pids === "" ? `${name} was not running` : `killed ${name}: ${pids}`);
    });

  add("start")
    .description("start a server again")
    .argument("<server>", "manager, storage-N or head-N")
    .action((name: string, options: LocalOptions) => {
      const server = findServer(options, name);
      if (server.control().length > 0) throw new LocalClusterError(`${name} is running already`);
      server.start(context.environment);
      context.print(`started ${name}`);
    });
}
