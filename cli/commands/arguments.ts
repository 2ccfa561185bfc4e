import { InvalidArgumentError } from "commander";
import { parseShownId } from "../../shared/ids.js";
import { Priority } from "../../shared/states.js";

/** How people name things on the command line, and how we name states to them. */

/** A volume by id (`lvol-0000000a`, or the eight digits alone) or else by name. */
export function volumeArgument(text: string): { lvolid: number } | { lvolname: string } {
  const id = parseShownId("lvol", text);
  return id === undefined ? { lvolname: text } : { lvolid: id };
}

/** An id as it is shown (`hsvr-00000001`, or the eight digits alone), or as a plain decimal number. */
export function parseId(prefix: string, text: string): number {
  const id = parseShownId(prefix, text) ?? (/^[1-9][0-9]{0,6}$/.test(text) ? Number(text) : undefined);
  if (id === undefined) throw new InvalidArgumentError(`Expected ${prefix}-XXXXXXXX or a number.`);
  return id;
}

export function parseWholeNumber(text: string): number {
  if (!/^[0-9]{1,9}$/.test(text)) throw new InvalidArgumentError("Expected a whole number.");
  return Number(text);
}

const priorityNames = new Map<number, string>(Object.entries(Priority).map(([name, value]) => [value, name]));

export const showPriority = (priority: number): string => priorityNames.get(priority) ?? String(priority);
