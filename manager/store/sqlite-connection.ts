import type { Database as SqliteDatabase } from "better-sqlite3";
import type { CompiledQuery, DatabaseConnection, QueryResult } from "kysely";
import { StatementCache } from "./statement-cache.js";

/** Many times the number of distinct queries of the manager; multi-row inserts have one SQL per number of rows. */
const KEPT_STATEMENTS = 512;

/**
 * The one connection of the store.
 *
 * SQLite ends a transaction by itself at some errors (a full disk, an I/O error). Statements of such a transaction that
 * still come are refused here: SQLite would run and commit each of them alone.
 */
export class SqliteConnection implements DatabaseConnection {
  readonly #statements: StatementCache;
  #inTransaction = false;
  /** What ended the running transaction before its time. */
  #lostTo: unknown;

  constructor(readonly db: SqliteDatabase) {
    this.#statements = new StatementCache(db, KEPT_STATEMENTS);
  }

  async begin(): Promise<void> {
    // IMMEDIATE: a transaction that reads first and writes later can't find the write lock taken half-way.
    this.#statements.get("BEGIN IMMEDIATE").run();
    this.#inTransaction = true;
    this.#lostTo = undefined;
  }

  /** @throws what SQLite says; the transaction is then to be rolled back. */
  async commit(): Promise<void> {
    this.#assertNotLost();
    this.#statements.get("COMMIT").run();
    this.#inTransaction = false;
  }

  /** Ends the transaction, also one that SQLite has ended itself or whose COMMIT failed. */
  async rollback(): Promise<void> {
    this.#inTransaction = false;
    if (this.db.inTransaction) this.#statements.get("ROLLBACK").run();
  }

  /** @throws SqliteError; an Error with the first failure as its cause in a transaction that SQLite has ended. */
  async executeQuery<R>(query: CompiledQuery): Promise<QueryResult<R>> {
    this.#assertNotLost();
    try {
      return this.#run(query);
    } catch (error) {
      if (this.#inTransaction && !this.db.inTransaction) this.#lostTo ??= error;
      throw error;
    }
  }

  async *streamQuery<R>(query: CompiledQuery): AsyncIterableIterator<QueryResult<R>> {
    this.#assertNotLost();
    // Not from the cache: a statement is busy while it is iterated, and the same query may run meanwhile.
    const statement = this.db.prepare<unknown[], R>(query.sql);
    for (const row of statement.iterate(...query.parameters)) yield { rows: [row] };
  }

  close(): void {
    this.#statements.clear();
    this.db.close();
  }

  #run<R>(query: CompiledQuery): QueryResult<R> {
    const statement = this.#statements.get(query.sql);
    // The row type is what the query builder derived from the schema; SQLite knows none.
    if (statement.reader) return { rows: statement.all(...query.parameters) as R[] };
    const { changes, lastInsertRowid } = statement.run(...query.parameters);
    return { rows: [], numAffectedRows: BigInt(changes), insertId: BigInt(lastInsertRowid) };
  }

  #assertNotLost(): void {
    if (!this.#inTransaction || this.db.inTransaction) return;
    throw new Error("SQLite has rolled this transaction back", { cause: this.#lostTo });
  }
}
