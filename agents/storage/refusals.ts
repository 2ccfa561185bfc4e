import { type ErrorName, VasError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import { DiskRefusedError } from "./disks.js";

/** With these the manager says nothing of the disk: it can't answer right now. */
const PASSING: ReadonlySet<ErrorName> = new Set<ErrorName>(["EHOSTDOWN", "ETIMEDOUT", "EAGAIN"]);

/** Why disks are not taken, by the manager or by us; each reason is logged once, for as long as it is the same. */
export class Refusals {
  readonly #sentences = new Map<string, string>();

  constructor(private readonly log: Log) {}

  /** @returns false if it is no refusal of the disk, or one that the same call may not meet in a moment */
  note(path: string, error: unknown): boolean {
    const sentence = sentenceOf(path, error);
    if (sentence === undefined) return false;
    if (this.#sentences.get(path) !== sentence) {
      // A refusal says all there is to say; of what went wrong here the stack is wanted.
      const isOurs = error instanceof DiskRefusedError && error.cause !== undefined;
      this.log.error(isOurs ? { path, err: error } : { path }, sentence);
    }
    this.#sentences.set(path, sentence);
    return true;
  }

  forget(path: string): void {
    this.#sentences.delete(path);
  }
}

function sentenceOf(path: string, error: unknown): string | undefined {
  if (error instanceof DiskRefusedError) return error.message;
  if (!(error instanceof VasError) || PASSING.has(error.errno)) return undefined;
  return `the manager does not take the disk ${path}: ${error.sentence}`;
}
