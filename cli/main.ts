#!/usr/bin/env node
import { createInterface } from "node:readline/promises";
import { Command, CommanderError } from "commander";
import { ConfigError } from "../shared/config.js";
import { errorNameOf, errorRegistry, INTERNAL_ERROR_CODE } from "../shared/errors.js";
import { XmlRpcFault } from "../shared/xmlrpc/fault.js";
import { CliError, createManagerClient, findConfig, findManager } from "./client.js";
import { WRONG_USAGE } from "./commands/arguments.js";
import { addCallCommand } from "./commands/call.js";
import { addCheckCommand } from "./commands/check.js";
import { addCompletionCommand } from "./commands/completion.js";
import type { CommandContext } from "./commands/context.js";
import { addDiskCommands } from "./commands/disk.js";
import { addDoctorCommand } from "./commands/doctor.js";
import { addEventCommands } from "./commands/event.js";
import { addFailureCommand } from "./commands/failure.js";
import { addJobCommands } from "./commands/job.js";
import { addLocalCommands } from "./commands/local.js";
import { addServerCommands } from "./commands/server.js";
import { addShutdownCommand } from "./commands/shutdown.js";
import { addSnapshotCommands } from "./commands/snapshot.js";
import { addStatusCommand } from "./commands/status.js";
import { addVolumeCommands } from "./commands/volume.js";
import { LocalClusterError } from "./local/folder.js";
import { endOnBrokenOutput } from "./output.js";
import { terminalOf } from "./table.js";
import { readVersion } from "./version.js";

interface GlobalOptions {
  readonly manager?: string;
  readonly config?: string;
  readonly json?: boolean;
}

/** @returns what the person typed; nothing if they ended the input instead. */
async function ask(question: string): Promise<string> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const ended = new Promise<string>((resolve) => terminal.once("close", () => resolve("")));
  const answer = await Promise.race([terminal.question(question), ended]);
  terminal.close();
  return answer;
}

function buildProgram(): Command {
  const program = new Command("vas")
    .description("manage the volumes, servers and disks of a Vastsky cluster")
    .version(readVersion(), "--version", "print the version")
    .option(
      "--manager <host:port>",
      "address of the manager (default: VAS_MANAGER, the configuration, this machine)",
    )
    .option(
      "--config <file>",
      "vas.conf that names the manager (default: that of a local cluster in this folder, else /etc/vas.conf)",
    )
    .option("--json", "print the manager's answer as JSON")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride()
    .showHelpAfterError();

  const print = (...lines: string[]): void => {
    process.stdout.write(`${lines.join("\n")}\n`);
  };
  const makeContext = (): CommandContext => {
    const options = program.opts<GlobalOptions>();
    return {
      client: createManagerClient(findManager(options, process.env)),
      terminal: terminalOf(process.stdout, process.env),
      json: options.json === true,
      print,
      ask: process.stdin.isTTY ? ask : undefined,
    };
  };
  addVolumeCommands(program, makeContext);
  addSnapshotCommands(program, makeContext);
  addServerCommands(program, makeContext);
  addDiskCommands(program, makeContext);
  addEventCommands(program, makeContext);
  addJobCommands(program, makeContext);
  addStatusCommand(program, makeContext);
  addCheckCommand(program, makeContext);
  addFailureCommand(program, makeContext);
  addShutdownCommand(program, makeContext);
  addCallCommand(program, makeContext);
  const wantsJson = (): boolean => program.opts<GlobalOptions>().json === true;
  addLocalCommands(program, { environment: process.env, print, wantsJson });
  addDoctorCommand(program, {
    config: () => findConfig(program.opts<GlobalOptions>(), process.env),
    wantsJson,
    terminal: terminalOf(process.stdout, process.env),
    print,
  });
  addCompletionCommand(program, print);
  return program;
}

/** The sentence of an error, and what to do; undefined for a defect of ours, which needs its stack trace. */
function sentenceOf(error: unknown): string | undefined {
  if (error instanceof XmlRpcFault) {
    if (error.code === INTERNAL_ERROR_CODE) {
      return "the manager failed by a defect of its own; its log tells more";
    }
    const name = errorNameOf(error.code);
    const again = name !== undefined && errorRegistry[name].retryable;
    return again ? `${error.faultString} (The same command may succeed later.)` : error.faultString;
  }
  const forPeople =
    error instanceof CliError || error instanceof ConfigError || error instanceof LocalClusterError;
  return forPeople ? error.message : undefined;
}

endOnBrokenOutput(process.stdout, process);
try {
  await buildProgram().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // Commander has printed its message already; its own exit code is 0 for --help and 1 for wrong usage.
    process.exitCode = error.exitCode === 0 ? 0 : WRONG_USAGE;
  } else {
    process.stderr.write(
      `vas: ${sentenceOf(error) ?? (error instanceof Error ? error.stack : String(error))}\n`,
    );
    process.exitCode = 1;
  }
}
