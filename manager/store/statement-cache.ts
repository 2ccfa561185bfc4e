import type { Database as SqliteDatabase, Statement } from "better-sqlite3";

/**
 * Prepared statements of one SQLite connection by their SQL, the least recently used given up first. SQLite prepares a
 * statement again by itself after the schema changed.
 */
export class StatementCache {
  /** A Map keeps the order of insertion: the first key is the least recently used one. */
  readonly #statements = new Map<string, Statement<unknown[], unknown>>();

  constructor(
    readonly db: SqliteDatabase,
    /** Statements to keep. */
    readonly capacity: number,
  ) {}

  get size(): number {
    return this.#statements.size;
  }

  /** The prepared statement of this SQL. It must be run to its end before the next one is asked for. */
  get(sql: string): Statement<unknown[], unknown> {
    const known = this.#statements.get(sql);
    const statement = known ?? this.db.prepare<unknown[], unknown>(sql);
    if (known !== undefined) this.#statements.delete(sql);
    else if (this.#statements.size >= this.capacity) this.#forgetOldest();
    this.#statements.set(sql, statement);
    return statement;
  }

  clear(): void {
    this.#statements.clear();
  }

  #forgetOldest(): void {
    const oldest = this.#statements.keys().next();
    if (oldest.done !== true) this.#statements.delete(oldest.value);
  }
}
