import { type Command, Option } from "commander";
import type { Config } from "../../shared/config.js";
import { examine, type Role, roleOf, roles } from "../doctor/examine.js";
import type { Finding } from "../doctor/finding.js";
import { thisHost } from "../doctor/host.js";
import { paint, type Terminal } from "../table.js";
import { show } from "./context.js";

/** The command needs no manager: it looks at this host. What depends on global options is asked for once it runs. */
export interface DoctorContext {
  readonly config: () => Config;
  readonly wantsJson: () => boolean;
  readonly terminal: Terminal;
  readonly print: (...lines: string[]) => void;
}

const colours = { ok: "green", hint: "yellow", wrong: "red" } as const;

function lineOf(terminal: Terminal, { verdict, what, about }: Finding): string {
  return `${paint(terminal, colours[verdict], verdict.padEnd(6))}${what}${about === "" ? "" : `: ${about}`}`;
}

/** `vas doctor`: exit code 1 if this host lacks something that its data plane needs. */
export function addDoctorCommand(program: Command, context: DoctorContext): void {
  program
    .command("doctor")
    .description("check that this host has what its configuration and data plane need")
    .addOption(
      new Option(
        "--role <role>",
        "what this host is (default: storage if it offers disks, else head)",
      ).choices(roles),
    )
    .action(async ({ role }: { readonly role?: Role }) => {
      const config = context.config();
      const findings = await examine(thisHost, config, roleOf(config, role));
      show({ ...context, json: context.wantsJson() }, findings, () =>
        findings.map((finding) => lineOf(context.terminal, finding)),
      );
      if (findings.some(({ verdict }) => verdict === "wrong")) process.exitCode = 1;
    });
}
