import { listEvents } from "../../manager/operations/list-events.js";
import type { EventInfo } from "../../shared/methods/manager-methods.js";
import type { State } from "./state.js";

/** What a job that runs is said to have done, in percent. */
export const PROGRESS = 40;

export async function eventsOf(state: State, limit?: number): Promise<EventInfo[]> {
  return state.run(listEvents, { limit, progressOf: () => PROGRESS });
}

export const sentencesOf = async (state: State, limit?: number): Promise<string[]> =>
  (await eventsOf(state, limit)).map(({ sentence }) => sentence);

/** The events whose sentence begins so. */
export const eventsNamed = async (state: State, beginning: string): Promise<EventInfo[]> =>
  (await eventsOf(state)).filter(({ sentence }) => sentence.startsWith(beginning));

/** What `work` adds to the list. */
export async function newEvents(state: State, work: () => Promise<unknown>): Promise<EventInfo[]> {
  const before = await eventsOf(state, 10_000);
  state.now += 1;
  await work();
  return (await eventsOf(state, 10_000)).slice(before.length);
}
