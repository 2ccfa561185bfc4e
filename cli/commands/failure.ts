import { Argument, type Command } from "commander";
import { FailureTarget } from "../../shared/states.js";
import { orWrongUsage, parseId } from "./arguments.js";
import { type MakeContext, show } from "./context.js";

/** What can fail: how its ids are written, and what the report says of it. */
const targets = {
  head: { prefix: "hsvr", target: FailureTarget.HSVR },
  server: { prefix: "ssvr", target: FailureTarget.SSVR },
  disk: { prefix: "pdsk", target: FailureTarget.PDSK },
  extent: { prefix: "dext", target: FailureTarget.LVOL },
} as const;

/** `vas failure KIND ID` */
export function addFailureCommand(program: Command, makeContext: MakeContext): void {
  program
    .command("failure")
    .description(
      "report that a head server, storage server, disk or extent is lost; replacement begins at once",
    )
    .addArgument(new Argument("<kind>", "what has failed").choices(Object.keys(targets)))
    .argument("<id>", "its id, as the lists show it")
    .action(async (kind: keyof typeof targets, id: string, _options: object, command: Command) => {
      const { prefix, target } = targets[kind];
      const targetid = orWrongUsage(command, () => parseId(prefix, id));
      const context = makeContext();
      await context.client.call("notifyFailure", { target, targetid });
      show(context, {}, () => ["reported"]);
    });
}
