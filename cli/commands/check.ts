import type { Command } from "commander";
import { paint } from "../table.js";
import { type MakeContext, show } from "./context.js";

/** `vas check`: exit code 1 if the manager finds fault with its own state, or with what agents hold. */
export function addCheckCommand(program: Command, makeContext: MakeContext): void {
  program
    .command("check")
    .description("verify the whole state of the manager, and what the agents hold")
    .action(async () => {
      const context = makeContext();
      const checked = await context.client.call("checkState", {});
      const findings = [...checked.findings, ...checked.differences];
      const notCompared = checked.not_compared.map((what) => `not compared: ${what}`);
      const red = (text: string): string => paint(context.terminal, "red", text);
      show(context, checked, () => [
        ...(findings.length === 0 ? ["nothing is wrong"] : findings.map(red)),
        ...notCompared,
      ]);
      if (findings.length > 0) process.exitCode = 1;
    });
}
