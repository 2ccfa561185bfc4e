import { sql } from "kysely";
import type { Tx } from "../open-store.js";

/** The file itself: pages, indexes and constraints, as SQLite verifies them. */
export async function checkDatabase(tx: Tx): Promise<string[]> {
  const integrity = await sql<{ integrity_check: string }>`PRAGMA integrity_check`.execute(tx);
  const keys = await sql<{
    table: string;
    rowid: number | null;
    parent: string;
  }>`PRAGMA foreign_key_check`.execute(tx);
  return [
    ...integrity.rows
      .filter((row) => row.integrity_check !== "ok")
      .map((row) => `the database file is damaged: ${row.integrity_check}`),
    ...keys.rows.map(
      (row) =>
        `row ${row.rowid ?? "(no number)"} of table ${row.table} refers to a ${row.parent} that does not exist`,
    ),
  ];
}
