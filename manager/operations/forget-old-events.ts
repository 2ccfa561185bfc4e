import { forgetEventRows, forgetFinishedJobs } from "../store/forget-events.js";
import type { Operation } from "./operation.js";

/** Rows of each kind that go in one transaction, which the calls of clients wait for: 5 ms (bench/list-events.mjs). */
const BATCH = 500;

/**
 * Forgets a batch of what happened longest ago, as far as it is past its time, or more than is kept. Jobs that have not
 * ended stay, however old they are.
 *
 * @returns true if there may be more.
 */
export const forgetOldEvents: Operation<Record<string, never>, boolean> = async (tx, _params, context) => {
  const { event_retention, max_events } = context.settings;
  const limits = { before: context.now - event_retention * 1_000, keep: max_events, batch: BATCH };
  const jobs = await forgetFinishedJobs(tx, limits);
  const events = await forgetEventRows(tx, limits);
  return jobs === BATCH || events === BATCH;
};
