import type { Command } from "commander";
import { paint } from "../table.js";
import { type MakeContext, show } from "./context.js";

/** `vas check`: exit code 1 if the manager finds fault with its own state. */
export function addCheckCommand(program: Command, makeContext: MakeContext): void {
  program
    .command("check")
    .description("verify the whole state of the manager")
    .action(async () => {
      const context = makeContext();
      const findings = await context.client.call("checkState", {});
      const red = (text: string): string => paint(context.terminal, "red", text);
      show(context, findings, () => (findings.length === 0 ? ["nothing is wrong"] : findings.map(red)));
      if (findings.length > 0) process.exitCode = 1;
    });
}
