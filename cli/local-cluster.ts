#!/usr/bin/env node
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Command, InvalidArgumentError } from "commander";
import { nextCommands, processLines } from "./local/banner.js";
import {
  eraseLocalCluster,
  type LocalCluster,
  LocalClusterError,
  lockFolder,
  planLocalCluster,
  readLocalCluster,
  shortFolder,
  stateFolder,
  writeLocalCluster,
} from "./local/folder.js";
import { assertFreePort } from "./local/free-port.js";
import { MANAGER_PORT } from "./local/plan.js";
import { LocalRun } from "./local/run.js";
import { watchServers } from "./local/watch.js";

/**
 * `npm start`: a whole cluster on this machine, as separate processes on loopback addresses. Its state is kept between
 * starts; Ctrl-C ends everything, a second Ctrl-C at once.
 */

const USABLE_TIMEOUT_MS = 60_000;
const vasProgram = fileURLToPath(new URL("main.js", import.meta.url));

interface Options {
  readonly state: string;
  readonly addresses?: string;
  readonly diskGb?: number;
  readonly fresh?: boolean;
}

const say = (line: string): void => {
  process.stdout.write(`${line}\n`);
};

function parseAddresses(text: string): string {
  if (!/^127\.(\d{1,3}\.){2}$/.test(text))
    throw new InvalidArgumentError("Expected three bytes such as 127.0.3.");
  return text;
}

function parseDiskGb(text: string): number {
  if (!/^[1-9]\d{0,4}$/.test(text)) throw new InvalidArgumentError("Expected a whole number of GB.");
  return Number(text);
}

function readOptions(): Options {
  return new Command("npm start --")
    .description("run a Vastsky cluster on this machine: a manager, four storage servers, two head servers")
    .option("--state <folder>", "where its state is kept", ".vastsky")
    .option(
      "--addresses <prefix>",
      "first three bytes of its addresses, so that several clusters can run (default: 127.0.0.)",
      parseAddresses,
    )
    .option("--disk-gb <GB>", "size of each storage server's disk, a sparse file (default: 12)", parseDiskGb)
    .option("--fresh", "erase its state and begin again")
    .parse()
    .opts<Options>();
}

/** What the folder's cluster was made with; options can't change that of an existing one. */
function chooseCluster(folder: string, options: Options): LocalCluster {
  const kept = readLocalCluster(folder);
  const addresses = options.addresses ?? kept?.addresses ?? "127.0.0.";
  const diskGb = options.diskGb ?? kept?.diskGb ?? 12;
  if (kept !== undefined && (kept.addresses !== addresses || kept.diskGb !== diskGb)) {
    throw new LocalClusterError(
      `the cluster in ${folder} was made with --addresses ${kept.addresses} --disk-gb ${kept.diskGb}; ` +
        "use --fresh to erase it and begin again, or --state to make another one",
    );
  }
  return kept ?? { addresses, diskGb, storageServers: 4, headServers: 2 };
}

/** Ends the processes of an earlier start that was killed before it could. */
async function clearLeftOver(folder: string): Promise<void> {
  const previous = readLocalCluster(folder);
  if (previous === undefined) return;
  const run = new LocalRun(planLocalCluster(folder, previous), folder, say);
  const alive = run.leftOver();
  if (alive.length === 0) return;
  say(`Ending what an earlier start left behind: pids ${alive.map(({ pid }) => pid).join(" ")}`);
  await run.stop();
  await run.kill();
}

/** Resolves at the first Ctrl-C; the second one kills everything. */
function interruption(run: LocalRun): Promise<void> {
  return new Promise((resolveInterruption) => {
    let interrupted = false;
    const onSignal = (): void => {
      if (!interrupted) {
        interrupted = true;
        resolveInterruption();
        return;
      }
      say("Killing everything");
      void run.kill().then(() => process.exit(1));
    };
    process.on("SIGINT", onSignal).on("SIGTERM", onSignal).on("SIGHUP", onSignal);
  });
}

/** Waits until the cluster can be used and tells what runs where and what to try. */
async function announce(run: LocalRun, proceed: () => boolean): Promise<void> {
  const known = shortFolder(run.folder);
  if (known !== run.folder)
    say(`${known} is a link to ${run.folder}, whose own path is not fit for sockets and disks`);
  say("Waiting until the disks are registered and shredded");
  const allRun = (): boolean => run.servers.every((server) => server.control().length > 0);
  const status = await run.waitUntilUsable(USABLE_TIMEOUT_MS, () => proceed() && allRun());
  if (!proceed()) return;
  for (const line of processLines(run)) say(line);
  if (status === undefined || !run.isUsable(status)) {
    say(["Not all is usable; see the logs.", ...(status?.notices ?? [])].join("\n  "));
  }
  const heads = await run.client.call("listHeadServers", {}).catch(() => []);
  for (const line of nextCommands(run, vasProgram, heads)) say(line);
}

async function main(): Promise<void> {
  const options = readOptions();
  mkdirSync(options.state, { recursive: true });
  const folder = stateFolder(options.state);
  await lockFolder(folder);
  await clearLeftOver(folder);
  if (options.fresh === true) eraseLocalCluster(folder);

  const cluster = chooseCluster(folder, options);
  const plan = planLocalCluster(folder, cluster);
  await assertFreePort(plan.manager.address, MANAGER_PORT);
  writeLocalCluster(folder, cluster, plan);
  const run = new LocalRun(plan, folder, say);
  let stopping = false;
  const interrupted = interruption(run).then(() => {
    stopping = true;
  });
  const proceed = (): boolean => !stopping;

  say("Starting");
  await Promise.race([interrupted, run.start(process.env, proceed)]);
  const watched = watchServers(run.servers, (line) => say(`* ${line}`), proceed);
  await Promise.race([interrupted, Promise.all([announce(run, proceed), watched])]);
  say("Stopping");
  await run.stop();
  await run.kill();
}

try {
  await main();
  process.exit(0);
} catch (error) {
  const expected = error instanceof LocalClusterError;
  process.stderr.write(
    `npm start: ${expected ? error.message : error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(1);
}
