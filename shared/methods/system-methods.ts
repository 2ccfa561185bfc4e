import { z } from "zod";
import { aboutOf, typeOf } from "./describe-method.js";
import { method } from "./method.js";

const methodName = z.string({ error: "must be the name of a method, a string" });

/** How many calls one system.multicall may carry. */
export const MAX_MULTICALL = 256;

/**
 * Introspection, as XML-RPC servers have it by convention: these take their parameters one by one and not in a struct, and no
 * `ver`. `params` is what each takes, as a tuple.
 */
export const systemMethods = {
  "system.listMethods": method({
    help: "Names every method of this server.",
    params: z.tuple([]),
    result: z.array(z.string()).describe("names"),
    errors: {},
  }),
  "system.methodHelp": method({
    help: "Tells what a method does, what it takes, what it answers, and its errors.",
    params: z.tuple([methodName.describe("method")]),
    result: z.string().describe("text"),
    errors: { ENOENT: "there is no such method" },
  }),
  "system.methodSignature": method({
    help: "Tells the types of a method: of its answer, and then of what it takes.",
    params: z.tuple([methodName.describe("method")]),
    result: z.array(z.array(z.string())).describe("signatures: there is one"),
    errors: { ENOENT: "there is no such method" },
  }),
  "system.multicall": method({
    help: "Runs calls one after the other, whatever becomes of each. The answer of each is an array with its result, or a struct with faultCode and faultString.",
    params: z.tuple([
      z
        .array(
          z.object(
            {
              methodName: methodName.describe("method"),
              params: z
                .array(z.custom(), { error: "must be an array" })
                .describe("what it takes: an array with one struct"),
            },
            { error: "must be a struct" },
          ),
          { error: "must be an array of structs" },
        )
        .max(MAX_MULTICALL, { error: `must not have more than ${MAX_MULTICALL} calls` })
        .describe("calls"),
    ]),
    result: z.array(z.custom()).describe("answers, in the order of the calls"),
    errors: {},
  }),
} as const;
export type SystemMethodName = keyof typeof systemMethods;

/** A system method in plain text. */
export function describeSystemMethod(name: SystemMethodName): string {
  const { params, result, help } = systemMethods[name];
  const items = params.def.items.map((item) => `  ${typeOf(item)}: ${aboutOf(item)}`);
  return [
    `${name}(${params.def.items.map(typeOf).join(", ")}) -> ${typeOf(result)}`,
    help,
    ...(items.length > 0 ? ["Parameters:", ...items] : []),
    `Answer: ${aboutOf(result)}`,
  ].join("\n");
}
