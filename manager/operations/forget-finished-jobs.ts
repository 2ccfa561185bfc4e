import { deleteFinishedJobs } from "../store/jobs.js";
import type { Operation } from "./operation.js";

/** How long a finished job can be looked at, in milliseconds. */
const KEEP = 24 * 3_600_000;

/** Finished jobs are forgotten after a day. */
export const forgetFinishedJobs: Operation<Record<string, never>, void> = async (tx, _params, context) => {
  await deleteFinishedJobs(tx, context.now - KEEP);
};
