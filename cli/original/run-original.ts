import { errorRegistry } from "../../shared/errors.js";
import {
  XmlRpcTimeoutError,
  XmlRpcTransportError,
  XmlRpcUnreachableError,
} from "../../shared/xmlrpc/call-errors.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { CliError, createManagerClient, findManager, type ManagerClient } from "../client.js";
import { endOnBrokenOutput } from "../output.js";
import { type Parameter, type ValuesOf, WrongUsage } from "./parameter.js";
import { type ParsedArguments, parseArguments, type Syntax, usageOf } from "./parse-arguments.js";
import { strerror } from "./strerror.js";

/** A command of the original Vastsky: its name, what it is given, and what it prints. */
export interface OriginalCommand<Parameters extends readonly Parameter<unknown>[]> {
  readonly name: string;
  readonly options?: Readonly<Record<string, Parameter<unknown>>>;
  readonly parameters: Parameters;
  /** @returns the lines of the output. */
  readonly call: (
    manager: ManagerClient,
    values: ValuesOf<Parameters>,
    options: Readonly<Record<string, unknown>>,
  ) => Promise<readonly string[]>;
}

/** What a command takes from its process. */
type Surroundings = Pick<NodeJS.Process, "argv" | "env" | "stdout" | "stderr" | "exitCode" | "exit">;

const FAULT = 1;
const WRONG_USAGE = 2;

/** The errno that a failed call stands for; undefined if it is no failure of a call. */
function errnoOf(error: unknown): number | undefined {
  const cause = error instanceof CliError ? error.cause : error;
  if (cause instanceof XmlRpcFault) return cause.code;
  if (cause instanceof XmlRpcUnreachableError) return errorRegistry.EHOSTDOWN.code;
  if (cause instanceof XmlRpcTimeoutError) return errorRegistry.ETIMEDOUT.code;
  return cause instanceof XmlRpcTransportError ? errorRegistry.EIO.code : undefined;
}

/** The line that a failure prints. Scripts compare it, so a fault is told by its errno alone. */
export function failureLine(name: string, error: unknown): string {
  const errno = errnoOf(error);
  if (errno !== undefined) return strerror(errno);
  return `${name}: ${error instanceof Error ? error.message : String(error)}`;
}

/** Runs an original command: exit code 0 for success, 1 for a fault, 2 for wrong usage and for help. */
export async function runOriginal<const Parameters extends readonly Parameter<unknown>[]>(
  surroundings: Surroundings,
  command: OriginalCommand<Parameters>,
): Promise<void> {
  const { argv, env, stdout, stderr } = surroundings;
  const syntax: Syntax = { options: {}, ...command };
  const end = (exitCode: number, ...lines: string[]): void => {
    surroundings.exitCode = exitCode;
    stderr.write(`${lines.join("\n")}\n`);
  };
  endOnBrokenOutput(stdout, surroundings);

  let parsed: ParsedArguments;
  try {
    parsed = parseArguments(argv.slice(2), syntax);
  } catch (error) {
    if (!(error instanceof WrongUsage)) throw error;
    return end(WRONG_USAGE, `${command.name}: ${error.message}`, usageOf(syntax));
  }
  if (parsed.help) return end(WRONG_USAGE, usageOf(syntax));
  try {
    const manager = createManagerClient(findManager({}, env));
    const lines = await command.call(manager, parsed.values as ValuesOf<Parameters>, parsed.options);
    if (lines.length > 0) stdout.write(`${lines.join("\n")}\n`);
  } catch (error) {
    end(FAULT, failureLine(command.name, error));
  }
}
