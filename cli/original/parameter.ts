import { parseShownId } from "../../shared/ids.js";
import { volumeArgument } from "../commands/arguments.js";

/** An argument, or the value of an option, of an original command. */
export interface Parameter<Value> {
  /** As the usage line has it. */
  readonly name: string;
  readonly isOptional?: boolean;
  /** @throws WrongUsage */
  readonly parse: (text: string) => Value;
}

/** The command line is wrong; the message says what, and how it should be. */
export class WrongUsage extends Error {
  override readonly name = "WrongUsage";
}

/** The values of some parameters, in their order; undefined for an optional one that was left out. */
export type ValuesOf<Parameters extends readonly Parameter<unknown>[]> = {
  readonly [Place in keyof Parameters]: Parameters[Place] extends Parameter<infer Value>
    ? Value | (Parameters[Place] extends { readonly isOptional: true } ? undefined : never)
    : never;
};

/** A volume, by its id or else by its name. */
export const volumeParameter = { name: "lvol", parse: volumeArgument } as const;

/** A name for something new; the manager knows what is allowed. */
export const nameParameter = <Name extends string>(name: Name) =>
  ({ name, parse: (text: string) => text }) as const;

/** The id of a server or a disk: `hsvr-XXXXXXXX` or its eight digits. */
export const idParameter = (prefix: "hsvr" | "ssvr" | "pdsk") =>
  ({
    name: `${prefix}id`,
    parse: (text: string): number => {
      const id = parseShownId(prefix, text);
      if (id !== undefined) return id;
      throw new WrongUsage(`invalid ${prefix}-id: ${text}; expected ${prefix}-XXXXXXXX or eight hex digits`);
    },
  }) as const;

/** A whole number; what range it must be in the manager knows. */
export const numberParameter = (name: string, what: string) =>
  ({
    name,
    parse: (text: string): number => {
      if (/^[+-]?[0-9]{1,9}$/.test(text)) return Number(text);
      throw new WrongUsage(`invalid ${name}: ${text}; expected ${what}`);
    },
  }) as const;

/** The same parameter, which may be left out. */
export const optional = <Value>(parameter: Parameter<Value>) => ({ ...parameter, isOptional: true }) as const;
