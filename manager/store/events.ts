import { sql } from "kysely";
import type { EventRow } from "../../schema/tables.js";
import type { Tx } from "./open-store.js";

/** `event` of an event row, as the wire spells it. */
export const EventType = { ABNORMAL: 1, RESYNC: 2, SHRED: 3 } as const;

/** Records what happened, for people; rows outlive a restart. */
export async function recordEvent(tx: Tx, event: Omit<EventRow, "seq">): Promise<void> {
  await tx
    .insertInto("event")
    .values({ seq: sql<number>`NULL`, ...event })
    .execute();
}
