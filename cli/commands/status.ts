import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import type { ClusterStatus, JobInfo } from "../../shared/methods/manager-methods.js";
import { JobStatus } from "../../shared/states.js";
import { type Column, paint, renderProgress, renderTable, type Terminal } from "../table.js";
import { type CommandContext, type MakeContext, show } from "./context.js";

const REFRESH_MS = 1000;
const CLEAR_SCREEN = "\u001b[H\u001b[2J";

const statusNames = new Map<number, string>(Object.entries(JobStatus).map(([name, value]) => [value, name]));

const jobColumns: readonly Column<JobInfo>[] = [
  { title: "JOB", cell: (job) => job.kind },
  { title: "OF", flexible: true, cell: (job) => job.subject },
  { title: "STATE", cell: (job) => statusNames.get(job.status) ?? job.status },
  { title: "PROGRESS", cell: (job) => renderProgress(job.progress) },
  { title: "TRIES", align: "right", cell: (job) => job.attempts },
  { title: "LAST ERROR", flexible: true, cell: (job) => job.last_error },
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

function statusLines(terminal: Terminal, status: ClusterStatus): string[] {
  const notices = status.notices.map((notice) => paint(terminal, "yellow", `! ${notice}`));
  const jobs = status.jobs.length === 0 ? [] : ["", ...renderTable(terminal, jobColumns, status.jobs)];
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
      const context = makeContext();
      if (options.watch !== true) return showStatus(context, "");
      const heading = Number.isFinite(context.terminal.width) ? CLEAR_SCREEN : "";
      for (;;) {
        await showStatus(context, heading);
        await pause(REFRESH_MS);
      }
    });
}
