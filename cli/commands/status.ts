import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import type { ClusterStatus, JobInfo } from "../../shared/methods/manager-methods.js";
import { JobStatus } from "../../shared/states.js";
import { foldEntry } from "../fold.js";
import { type Column, paint, renderProgress, renderTable, type Terminal } from "../table.js";
import { type CommandContext, type MakeContext, show } from "./context.js";

const REFRESH_MS = 1000;
const CLEAR_SCREEN = "\u001b[H\u001b[2J";

/** `dext-00000001` */
const ID_WIDTH = 13;

const statusNames = new Map<number, string>(Object.entries(JobStatus).map(([name, value]) => [value, name]));

/** The bar of a job's progress, shorter where a table with long ones would not fit. */
const barCells = (terminal: Terminal): number => (terminal.width < 100 ? 6 : 20);

const jobColumns = (terminal: Terminal): readonly Column<JobInfo>[] => [
  { title: "JOB", cell: (job) => job.kind },
  // Folded between its ids, which are never cut.
  { title: "OF", narrows: "fold", least: ID_WIDTH, cell: (job) => job.subject },
  { title: "STATE", cell: (job) => statusNames.get(job.status) ?? job.status },
  { title: "PROGRESS", cell: (job) => renderProgress(job.progress, barCells(terminal)) },
  { title: "TRIES", align: "right", droppable: true, cell: (job) => job.attempts },
  { title: "LAST ERROR", narrows: "fold", least: 13, cell: (job) => job.last_error },
];

function summaryLines(terminal: Terminal, status: ClusterStatus): string[] {
  const { volumes, capacity } = status;
  const health = status.healthy
    ? paint(terminal, "green", "healthy")
    : paint(terminal, "yellow", "not healthy");
  const up = (counts: { readonly total: number; readonly up: number }): string =>
    `${counts.up} of ${counts.total} up`;
  return [
    `cluster          ${status.cluster}: ${health}`,
    `head servers     ${up(status.head_servers)}`,
    `storage servers  ${up(status.storage_servers)}`,
    `disks            ${up(status.disks)}`,
    `capacity         ${capacity.available} of ${capacity.total} GB free, ${capacity.unshredded} GB to shred`,
    `volumes          ${volumes.total}, ${volumes.attached} attached, ${volumes.degraded} degraded`,
  ];
}

/** What `vas status` prints. */
export function statusLines(terminal: Terminal, status: ClusterStatus): string[] {
  const notices = status.notices
    .flatMap((notice) => foldEntry("! ", notice, terminal.width))
    .map((line) => paint(terminal, "yellow", line));
  const jobs =
    status.jobs.length === 0 ? [] : ["", ...renderTable(terminal, jobColumns(terminal), status.jobs)];
  return [...summaryLines(terminal, status), ...notices, ...jobs];
}

async function showStatus(context: CommandContext, heading: string): Promise<void> {
  const status = await context.client.call("getClusterStatus", {});
  show(context, status, () => [heading + statusLines(context.terminal, status).join("\n")]);
}

/** `vas status` */
export function addStatusCommand(program: Command, makeContext: MakeContext): void {
  program
    .command("status")
    .description("the health of the cluster at a glance, with resyncs and shreds under way")
    .option("--watch", "show it again each second until Ctrl-C")
    .action(async (options: { watch?: boolean }) => {
      if (options.watch !== true) return showStatus(makeContext(), "");
      for (;;) {
        // Made anew, since the terminal may have another width by now.
        const context = makeContext();
        await showStatus(context, Number.isFinite(context.terminal.width) ? CLEAR_SCREEN : "");
        await pause(REFRESH_MS);
      }
    });
}
