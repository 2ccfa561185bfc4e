import { readFileSync } from "node:fs";

/** A commit, as the manager's log tells it at the level debug. */
export interface LoggedCommit {
  readonly commit: number;
  readonly operation: string;
  readonly params: Readonly<Record<string, unknown>>;
}

/** The line of an answered call: `commit` is its own one, `after` the last one that it saw. */
export interface LoggedCall {
  readonly req: number;
  readonly method: string;
  readonly from: string;
  readonly params: Readonly<Record<string, unknown>>;
  readonly commit?: number;
  readonly after?: number;
  readonly job?: number;
  readonly msg: string;
}

export interface ManagerLog {
  /** By number. */
  readonly commits: readonly LoggedCommit[];
  /** Answered calls by the address of their client, in the order in which they were answered. */
  readonly calls: ReadonlyMap<string, readonly LoggedCall[]>;
}

const isAnswer = (line: LoggedCall): boolean => line.msg === "done" || line.msg.startsWith("refused: ");

/** Reads the log of a manager that logged JSON lines at the level debug. */
export function readManagerLog(path: string): ManagerLog {
  const commits: LoggedCommit[] = [];
  const calls = new Map<string, LoggedCall[]>();
  for (const text of readFileSync(path, "utf8").split("\n")) {
    if (!text.startsWith("{")) continue;
    const line = JSON.parse(text) as LoggedCommit & LoggedCall;
    if (line.msg === "committed") commits.push(line);
    else if (line.req !== undefined && isAnswer(line)) {
      const known = calls.get(line.from);
      if (known === undefined) calls.set(line.from, [line]);
      else known.push(line);
    }
  }
  return { commits: commits.sort((a, b) => a.commit - b.commit), calls };
}
