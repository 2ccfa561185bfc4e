import { type Command, InvalidArgumentError } from "commander";
import { parseShownId } from "../../shared/ids.js";
import { Priority } from "../../shared/states.js";

/** Exit code. */
export const WRONG_USAGE = 2;

/** How people name things on the command line, and how we name states to them. */

/** A volume by id (`lvol-0000000a`, or the eight digits alone) or else by name. */
export function volumeArgument(text: string): { lvolid: number } | { lvolname: string } {
  const id = parseShownId("lvol", text);
  return id === undefined ? { lvolname: text } : { lvolid: id };
}

/** The same for the volume that a snapshot is taken of. */
export function originArgument(text: string): { origin_lvolid: number } | { origin_lvolname: string } {
  const id = parseShownId("lvol", text);
  return id === undefined ? { origin_lvolname: text } : { origin_lvolid: id };
}

/** An id as it is shown (`hsvr-00000001`, or the eight digits alone), or as a plain decimal number. */
export function parseId(prefix: string, text: string): number {
  const id = parseShownId(prefix, text) ?? (/^[1-9][0-9]{0,6}$/.test(text) ? Number(text) : undefined);
  if (id === undefined) throw new InvalidArgumentError(`Expected ${prefix}-XXXXXXXX or a number.`);
  return id;
}

/** Ends with what is wrong, the usage and exit code 2. */
export function wrongUsage(command: Command, message: string): never {
  return command.error(`error: ${message}`, { exitCode: WRONG_USAGE });
}

/** For an argument that can be read only once the others are known: commander does this for those it reads itself. */
export function orWrongUsage<Value>(command: Command, parse: () => Value): Value {
  try {
    return parse();
  } catch (error) {
    if (error instanceof InvalidArgumentError) return wrongUsage(command, error.message);
    throw error;
  }
}

/** A head or storage server, told apart by the prefix of its id. */
export function parseServerId(text: string): { hsvrid: number } | { ssvrid: number } {
  const hsvrid = text.startsWith("hsvr-") ? parseShownId("hsvr", text) : undefined;
  if (hsvrid !== undefined) return { hsvrid };
  const ssvrid = text.startsWith("ssvr-") ? parseShownId("ssvr", text) : undefined;
  if (ssvrid !== undefined) return { ssvrid };
  throw new InvalidArgumentError("Expected hsvr-XXXXXXXX or ssvr-XXXXXXXX.");
}

export function parseWholeNumber(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}

/** What is said of a disk or server that is to be evacuated, or is not any more. */
export const evacuationLine = (shown: string, cancel: boolean): string =>
  cancel ? `${shown} stays in use` : `${shown} is being evacuated; "vas status" tells how far it is`;

const priorityNames = new Map<number, string>(Object.entries(Priority).map(([name, value]) => [value, name]));

export const showPriority = (priority: number): string => priorityNames.get(priority) ?? String(priority);
