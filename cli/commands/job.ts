import type { Command } from "commander";
import type { JobState } from "../../shared/methods/manager-methods.js";
import { JobStatus } from "../../shared/states.js";
import { foldEntry } from "../fold.js";
import { type Column, renderProgress, type Terminal } from "../table.js";
import { parseWholeNumber } from "./arguments.js";
import { type MakeContext, show, showTable } from "./context.js";

const statusNames = new Map<number, string>(Object.entries(JobStatus).map(([name, value]) => [value, name]));
const stateOf = ({ status }: JobState): string => statusNames.get(status) ?? String(status);

/** `dext-00000001` */
const ID_WIDTH = 13;
const PROGRESS_CELLS = 4;
const NEXT = { minute: 60, hour: 3_600, day: 86_400 } as const;

/** `59s`, `59m`, `47h`, `12d` */
function showSeconds(seconds: number): string {
  if (seconds < NEXT.minute) return `${seconds}s`;
  if (seconds < NEXT.hour) return `${Math.floor(seconds / NEXT.minute)}m`;
  if (seconds < 2 * NEXT.day) return `${Math.floor(seconds / NEXT.hour)}h`;
  return `${Math.floor(seconds / NEXT.day)}d`;
}

export const jobColumns: readonly Column<JobState>[] = [
  { title: "ID", align: "right", cell: (job) => job.jobid },
  { title: "JOB", cell: (job) => job.kind },
  // Folded between its ids, which are never cut.
  { title: "OF", narrows: "fold", least: ID_WIDTH, cell: (job) => job.subject },
  { title: "STATE", cell: stateOf },
  { title: "LAST ERROR", narrows: "fold", least: ID_WIDTH, cell: (job) => job.last_error },
  { title: "AGE", align: "right", cell: (job) => showSeconds(job.age) },
  {
    title: "NEXT",
    align: "right",
    droppable: true,
    cell: (job) => (job.next_in < 0 ? "" : showSeconds(job.next_in)),
  },
  { title: "PROGRESS", droppable: true, cell: (job) => renderProgress(job.progress, PROGRESS_CELLS) },
  { title: "TRIES", align: "right", droppable: true, cell: (job) => job.attempts },
];

function describeAttempts({ attempts, next_in }: JobState): string {
  const failed = attempts === 0 ? "none has failed" : `${attempts} ${attempts === 1 ? "has" : "have"} failed`;
  if (next_in < 0) return failed;
  return `${failed}, the next one ${next_in === 0 ? "is due" : `in ${showSeconds(next_in)}`}`;
}

/** What `vas job show` prints. */
export function jobLines(terminal: Terminal, job: JobState): string[] {
  const ended = job.finished === "" ? "" : `, ended ${job.finished} UTC`;
  const parts: readonly (readonly [string, string])[] = [
    ["job", `${job.jobid}: ${job.kind} of ${job.subject}`],
    ["state", stateOf(job)],
    ["step", job.phase],
    ["begun", `${job.created} UTC${ended} (${showSeconds(job.age)})`],
    ["progress", job.progress < 0 ? "not known" : `${job.progress} %`],
    ["attempts", describeAttempts(job)],
    ["last error", job.last_error === "" ? "none" : job.last_error],
    ["fails by", job.result],
  ];
  return parts
    .filter(([, text]) => text !== "")
    .flatMap(([title, text]) => foldEntry(title.padEnd(12), text, terminal.width));
}

/** `vas job …` */
export function addJobCommands(program: Command, makeContext: MakeContext): void {
  const group = program.command("job").description("work that the manager has under way");
  const id = ["<id>", 'number, as "vas job list" shows it', parseWholeNumber] as const;
  group
    .command("list")
    .description("list the jobs that are under way, the oldest first")
    .option("--all", "also those that have ended, as far as they are kept")
    .action(async ({ all = false }: { all?: boolean }) => {
      const context = makeContext();
      showTable(context, jobColumns, await context.client.call("listJobs", { all }));
    });
  group
    .command("show")
    .description("tell all that is known of a job")
    .argument(...id)
    .action(async (jobid: number) => {
      const context = makeContext();
      const job = await context.client.call("showJob", { jobid });
      show(context, job, () => jobLines(context.terminal, job));
    });
  group
    .command("cancel")
    .description("end a job without its purpose, and undo what it did")
    .argument(...id)
    .action(async (jobid: number) => {
      const context = makeContext();
      await context.client.call("cancelJob", { jobid });
      show(context, {}, () => [`cancelled job ${jobid}`]);
    });
  group
    .command("retry")
    .description("try a job that waits for its next attempt at once, or a cancelled resync again")
    .argument(...id)
    .action(async (jobid: number) => {
      const context = makeContext();
      await context.client.call("retryJob", { jobid });
      show(context, {}, () => [`job ${jobid} is tried again`]);
    });
}
