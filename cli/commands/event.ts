import type { Command } from "commander";
import type { EventInfo } from "../../shared/methods/manager-methods.js";
import { EventStatus } from "../../shared/states.js";
import type { Column } from "../table.js";
import { parseWholeNumber } from "./arguments.js";
import { type MakeContext, showTable } from "./context.js";

const statusNames = new Map<number, string>(
  Object.entries(EventStatus).map(([name, value]) => [value, name]),
);

/** How far it is; what happened in an instant has no state. */
function stateOf({ event_status, progress }: EventInfo): string {
  if (event_status === EventStatus.NONE) return "";
  if (event_status === EventStatus.PROGRESS && progress >= 0) return `${Math.floor(progress)} %`;
  return statusNames.get(event_status) ?? String(event_status);
}

/** All that there is to say, in one text: a terminal has room for one. */
function describeEvent({ sentence, attempts, last_error }: EventInfo): string {
  const tries = attempts === 0 ? "" : ` (failed ${attempts === 1 ? "once" : `${attempts} times`})`;
  return `${sentence}${tries}${last_error === "" ? "" : `: ${last_error}`}`;
}

export const eventColumns: readonly Column<EventInfo>[] = [
  { title: "TIME (UTC)", cell: (event) => event.time },
  { title: "STATE", cell: stateOf },
  { title: "WHAT", narrows: "fold", least: 13, cell: describeEvent },
];

/** `vas event list` */
export function addEventCommands(program: Command, makeContext: MakeContext): void {
  const group = program.command("event").description("what happened, and what is under way");
  group
    .command("list")
    .description("list failures, resyncs, shreds and changes, the newest last")
    .option("--limit <count>", "only so many, the newest", parseWholeNumber)
    .action(async ({ limit }: { limit?: number }) => {
      const context = makeContext();
      const params = limit === undefined ? {} : { limit };
      showTable(context, eventColumns, await context.client.call("listEvents", params));
    });
}
