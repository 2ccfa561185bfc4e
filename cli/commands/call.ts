import { type Command, InvalidArgumentError } from "commander";
import { describeMethod } from "../../shared/methods/describe-method.js";
import { type ManagerMethodName, managerMethods } from "../../shared/methods/manager-methods.js";
import type { XmlRpcStruct } from "../../shared/xmlrpc/value.js";
import { foldEntry } from "../fold.js";
import type { MakeContext } from "./context.js";

const HELP_WIDTH = 80;

export const methodNames: readonly string[] = Object.keys(managerMethods);

function methodLines(): string[] {
  const width = Math.max(...methodNames.map((name) => name.length));
  return Object.entries(managerMethods).flatMap(([name, { help }]) =>
    foldEntry(`  ${name.padEnd(width)}  `, help, HELP_WIDTH),
  );
}

interface CallOptions {
  readonly describe?: boolean;
}

function parseMethod(text: string): ManagerMethodName {
  if (Object.hasOwn(managerMethods, text)) return text as ManagerMethodName;
  throw new InvalidArgumentError("There is no such method; see the list below.");
}

function parseMembers(text: string): XmlRpcStruct {
  let members: unknown;
  try {
    members = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(error instanceof Error ? error.message : String(error));
  }
  if (typeof members === "object" && members !== null && !Array.isArray(members)) {
    return members as XmlRpcStruct;
  }
  throw new InvalidArgumentError('Expected a JSON object such as {"lvolname": "data"}.');
}

/** `vas call`: any method of the manager, as it is. The answer is always JSON. */
export function addCallCommand(program: Command, makeContext: MakeContext): void {
  program
    .command("call")
    .description("call a method of the manager; prints its answer as JSON")
    .argument("<method>", "name of the method", parseMethod)
    .argument("[members]", "members of its struct as a JSON object, without ver", parseMembers)
    .option("--describe", "tell what the method takes, answers and may raise, instead of calling it")
    .addHelpText("after", ["", "Methods:", ...methodLines()].join("\n"))
    .action(async (name: ManagerMethodName, members: XmlRpcStruct | undefined, options: CallOptions) => {
      const context = makeContext();
      if (options.describe === true) {
        context.print(describeMethod(name, managerMethods[name]));
        return;
      }
      const answer = await context.client.callRaw(name, members ?? {});
      context.print(JSON.stringify(answer, null, 2));
    });
}
