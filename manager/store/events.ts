import { sql } from "kysely";
import type { EventRow } from "../../schema/tables.js";
import { EventStatus } from "../../shared/states.js";
import type { Tx } from "./open-store.js";
import { takeEventId } from "./sequences.js";

export type { EventRow };

/** `event` of an event, as the wire spells it. ADMINISTRATIVE is ours: what people and agents changed, or asked for. */
export const EventType = { ABNORMAL: 1, RESYNC: 2, SHRED: 3, ADMINISTRATIVE: 4 } as const;
export type EventType = (typeof EventType)[keyof typeof EventType];

/** What an event is about, and what people are told of it. */
export interface Change {
  /** FailureTarget: LVOL stands for volumes, mirrors and extents, whose ids are one sequence. */
  readonly target: number;
  readonly targetid: number;
  readonly sentence: string;
}
export interface NewEvent extends Change {
  readonly event: EventType;
  readonly event_status?: EventStatus;
}

/** The wall-clock time of the operation that records it, milliseconds. */
interface Instant {
  readonly now: number;
}

/** Records what happened in this instant. What takes its time is a job, and listed as one: it is not recorded here. */
export async function recordEvent(tx: Tx, event: NewEvent, { now }: Instant): Promise<void> {
  const { target, targetid, sentence, event_status = EventStatus.NONE } = event;
  const eventid = await takeEventId(tx);
  await tx
    .insertInto("event")
    .values({
      seq: sql<number>`NULL`,
      time: now,
      eventid,
      target,
      targetid,
      event: event.event,
      event_status,
      sentence,
    })
    .execute();
}

/** Records an administrative change. One that changed nothing is none. */
export async function recordChange(tx: Tx, change: Change, instant: Instant): Promise<void> {
  const kind = { event: EventType.ADMINISTRATIVE, event_status: EventStatus.DONE };
  await recordEvent(tx, { ...change, ...kind }, instant);
}

/** The newest events, the newest first. The clock may have been set back, so that the order is not that of `seq` alone. */
export async function newestEvents(tx: Tx, limit: number): Promise<EventRow[]> {
  return tx
    .selectFrom("event")
    .selectAll()
    .orderBy("time", "desc")
    .orderBy("seq", "desc")
    .limit(limit)
    .execute();
}
