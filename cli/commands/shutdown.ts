import type { Command } from "commander";
import { wrongUsage } from "./arguments.js";
import { type MakeContext, show } from "./context.js";

const QUESTION = "Take all servers and disks out of use? Type yes: ";

/** `vas shutdown` */
export function addShutdownCommand(program: Command, makeContext: MakeContext): void {
  program
    .command("shutdown")
    .description("take all servers and disks out of use, if no volume is attached")
    .option("--yes", "do not ask")
    .action(async ({ yes }: { yes?: boolean }, command: Command) => {
      const context = makeContext();
      if (yes !== true) {
        if (context.ask === undefined) {
          wrongUsage(command, "there is no terminal to ask for confirmation on; add --yes if you mean it");
        }
        if ((await context.ask(QUESTION)).trim() !== "yes") {
          context.print("nothing was done");
          process.exitCode = 1;
          return;
        }
      }
      await context.client.call("shutdownAll", {});
      show(context, {}, () => [
        "all servers and disks are out of use; each comes back when its agent is started again",
      ]);
    });
}
