import { type RawBuilder, sql } from "kysely";

/**
 * True for a row that a change would make another one. Agents register again and again: what is as it was is not written,
 * so that nothing is committed, flushed and told in the log.
 */
export function differsFrom(change: Readonly<Record<string, unknown>>): RawBuilder<boolean> {
  const different = Object.entries(change).map(
    ([column, value]) => sql`${sql.ref(column)} IS DISTINCT FROM ${value}`,
  );
  return different.length === 0 ? sql`FALSE` : sql`(${sql.join(different, sql` OR `)})`;
}
