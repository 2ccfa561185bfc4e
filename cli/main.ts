#!/usr/bin/env node
import { Command, CommanderError } from "commander";
import { ConfigError } from "../shared/config.js";
import { errorNameOf, errorRegistry } from "../shared/errors.js";
import { XmlRpcFault } from "../shared/xmlrpc/fault.js";
import { CliError, createManagerClient, findManager } from "./client.js";
import { addCheckCommand } from "./commands/check.js";
import type { CommandContext } from "./commands/context.js";
import { addDiskCommands } from "./commands/disk.js";
import { addFailureCommand } from "./commands/failure.js";
import { addLocalCommands } from "./commands/local.js";
import { addServerCommands } from "./commands/server.js";
import { addSnapshotCommands } from "./commands/snapshot.js";
import { addStatusCommand } from "./commands/status.js";
import { addVolumeCommands } from "./commands/volume.js";
import { LocalClusterError } from "./local/folder.js";
import { terminalOf } from "./table.js";

const WRONG_USAGE = 2;

interface GlobalOptions {
  readonly manager?: string;
  readonly config?: string;
  readonly json?: boolean;
}

function buildProgram(): Command {
  const program = new Command("vas")
    .description("manage the volumes, servers and disks of a Vastsky cluster")
    .option(
      "--manager <host:port>",
      "address of the manager (default: VAS_MANAGER, the configuration, this machine)",
    )
    .option(
      "--config <file>",
      "vas.conf that names the manager (default: that of a local cluster in this folder)",
    )
    .option("--json", "print the manager's answer as JSON")
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
    };
  };
  addVolumeCommands(program, makeContext);
  addSnapshotCommands(program, makeContext);
  addServerCommands(program, makeContext);
  addDiskCommands(program, makeContext);
  addStatusCommand(program, makeContext);
  addCheckCommand(program, makeContext);
  addFailureCommand(program, makeContext);
  addLocalCommands(program, { environment: process.env, print });
  return program;
}

/** The sentence of an error, and what to do; undefined for a defect of ours, which needs its stack trace. */
function sentenceOf(error: unknown): string | undefined {
  if (error instanceof XmlRpcFault) {
    const name = errorNameOf(error.code);
    const again = name !== undefined && errorRegistry[name].retryable;
    return again ? `${error.faultString} (The same command may succeed later.)` : error.faultString;
  }
  const forPeople =
    error instanceof CliError || error instanceof ConfigError || error instanceof LocalClusterError;
  return forPeople ? error.message : undefined;
}

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
