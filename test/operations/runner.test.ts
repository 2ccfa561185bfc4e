import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { AgentsPort } from "../../manager/agents-port/agents-port.js";
import type { Handler } from "../../manager/jobs/handler.js";
import { JobRunner } from "../../manager/jobs/runner.js";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { cancelHeldJob, readJob } from "../../manager/operations/claim-jobs.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { loadConfig } from "../../shared/config.js";
import { VasError } from "../../shared/errors.js";
import { JobStatus } from "../../shared/states.js";
import { waitUntil } from "../harness/wait-until.js";
import { State } from "./state.js";

const MAX_PAUSE = 1_000;

/** A runner whose jobs are all handled alike. */
function runnerOf(state: State, handler: Handler): JobRunner {
  const agents = new AgentsPort({ cluster: "c", serial: 1 }, 1_000);
  const clock = { now: () => state.now, monotonic: () => state.now };
  const log = pino({ level: "silent" });
  const runner = new JobRunner({
    handlers: {
      attach: handler,
      detach: handler,
      fence: handler,
      "end-maintenance": handler,
      "create-snapshot": handler,
      "delete-snapshot": handler,
      resync: handler,
      shred: handler,
    },
    tools: { agents, settings: loadConfig(undefined, {}).storage_manager, clock, log },
    executor: state.executor,
    clock,
    log,
    maxPause: MAX_PAUSE,
  });
  onTestFinished(async () => {
    await runner.stop(10_000);
    await agents.close();
  });
  return runner;
}

/** A state with one job that can be run. */
async function oneJob(): Promise<{ state: State; jobid: number }> {
  const state = await State.open();
  for (const number of [1, 2]) await state.addServer(number, 4);
  const hsvrid = await state.addHead(1);
  const lvolid = await state.run(createVolume, { lvolname: "v", capacity: 1, redundancy: 2 });
  return { state, jobid: await state.run(beginAttach, { lvolid, hsvrid }) };
}

test("the pause between two attempts grows up to its bound, and the job tells them and the last error", async () => {
  const { state, jobid } = await oneJob();
  let attempts = 0;
  const runner = runnerOf(state, async () => {
    attempts += 1;
    throw new VasError("EHOSTDOWN", `attempt ${attempts} was in vain`);
  });
  const pauses: number[] = [];
  await runner.start();
  for (let count = 1; count <= 6; count += 1) {
    const job = await waitUntil(`attempt ${count} has failed`, async () => {
      const row = await state.run(readJob, { jobid });
      return row?.attempts === count && row.status === JobStatus.PENDING && row;
    });
    expect(job.last_error).toBe(`attempt ${count} was in vain`);
    pauses.push(job.run_at - state.now);
    state.now = job.run_at;
    runner.poke();
  }
  expect(pauses).toEqual([200, 400, 800, MAX_PAUSE, MAX_PAUSE, MAX_PAUSE]);
});

test("a caller is answered at its deadline though the job that it waits for goes on", {
  timeout: 60_000,
}, async () => {
  const { state, jobid } = await oneJob();
  let end: () => void = () => undefined;
  const isOver = new Promise<void>((resolve) => {
    end = resolve;
  });
  const runner = runnerOf(state, async (job, { executor }) => {
    await isOver;
    await executor.run(cancelHeldJob, { jobid: job.jobid, reason: "it is not needed" });
  });
  await runner.start();
  onTestFinished(end);
  await waitUntil("it runs", async () => (await state.run(readJob, { jobid }))?.status === JobStatus.RUNNING);
  expect(await runner.waitFor(jobid, 50)).toMatchObject({ status: JobStatus.RUNNING });
  const waiting = runner.waitFor(jobid, 50_000);
  end();
  expect(await waiting).toMatchObject({ status: JobStatus.CANCELED });
});

test("what the manager before was doing is taken up by the next one", { timeout: 60_000 }, async () => {
  const { state, jobid } = await oneJob();
  expect(await state.claim("attach")).toMatchObject([{ jobid, status: JobStatus.RUNNING }]);
  const next = await state.restart();
  const runner = runnerOf(next, async (job, { executor }) => {
    await executor.run(cancelHeldJob, { jobid: job.jobid, reason: "it is not needed" });
  });
  await runner.start();
  expect(await runner.waitFor(jobid, 30_000)).toMatchObject({ status: JobStatus.CANCELED });
});
