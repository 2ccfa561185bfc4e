import type { Clock } from "../../shared/clock.js";
import type { Config } from "../../shared/config.js";
import type { CommitNote, Store, Tx } from "../store/open-store.js";

export type { CommitNote };

/** What an operation may know besides the state and its parameters. */
export interface OperationContext {
  /** Wall-clock milliseconds, read once for the whole operation. */
  readonly now: number;
  /** Serial of this manager. */
  readonly serial: number;
  readonly settings: Config["storage_manager"];
}

/** A verb-noun: decides by the domain's rules, plans, and writes rows and the jobs that follow, in one transaction. */
export type Operation<Params, Result> = (
  tx: Tx,
  params: Params,
  context: OperationContext,
) => Promise<Result>;

/** Runs operations, each in a transaction of its own. */
export class Executor {
  constructor(
    private readonly store: Store,
    private readonly clock: Clock,
    private readonly serial: number,
    private readonly settings: Config["storage_manager"],
    /** Called after each commit that changed something: a hint that there may be new jobs. The rows are the truth. */
    private readonly afterCommit: () => void,
    /** Is told of each commit that changed something, after it: for the log. */
    private readonly onCommit?: (number: number, operation: string, params: unknown) => void,
  ) {}

  /**
   * @param note is told the number of the commit.
   * @throws VasError, after which nothing has changed.
   */
  async run<Params, Result>(
    operation: Operation<Params, Result>,
    params: Params,
    note?: (commit: CommitNote) => void,
  ): Promise<Result> {
    let isNew = false;
    const result = await this.runQuietly(operation, params, (commit) => {
      isNew = commit.isNew;
      note?.(commit);
    });
    if (isNew) this.afterCommit();
    return result;
  }

  /** The same without the hint: for operations that only read, and for those that may find nothing to do. */
  async runQuietly<Params, Result>(
    operation: Operation<Params, Result>,
    params: Params,
    note?: (commit: CommitNote) => void,
  ): Promise<Result> {
    const context = { now: this.clock.now(), serial: this.serial, settings: this.settings };
    let commit: CommitNote | undefined;
    const result = await this.store.transaction(
      (tx) => operation(tx, params, context),
      (noted) => {
        commit = noted;
        // Its own number counts only once it is committed.
        if (!noted.isNew) note?.(noted);
      },
    );
    if (commit?.isNew) {
      note?.(commit);
      this.onCommit?.(commit.number, operation.name, params);
    }
    return result;
  }
}
