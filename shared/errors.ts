/**
 * Every error that a client can see: its name, the number that travels as the fault code, and whether the same call
 * may succeed later without anything else changing. Errors know nothing of XML-RPC; `manager/api` and the agents'
 * doors turn them into faults.
 */
export const errorRegistry = {
  ENOENT: { code: 2, retryable: false, meaning: "what the call names does not exist" },
  EIO: { code: 5, retryable: false, meaning: "a disk or its file failed to read or write" },
  EAGAIN: { code: 11, retryable: true, meaning: "something else is being done to it right now" },
  EPERM: { code: 1, retryable: false, meaning: "the caller may not do this" },
  EBUSY: { code: 16, retryable: true, meaning: "it is in use" },
  EEXIST: { code: 17, retryable: false, meaning: "it exists already" },
  EINVAL: {
    code: 22,
    retryable: false,
    meaning: "a parameter is missing, of the wrong type or out of range",
  },
  ENOSPC: { code: 28, retryable: true, meaning: "there is not enough room, or no id is left" },
  EPROTO: { code: 71, retryable: false, meaning: "the caller speaks another version of the protocol" },
  ETIMEDOUT: { code: 110, retryable: true, meaning: "it did not finish in time and was undone" },
  EHOSTDOWN: { code: 112, retryable: true, meaning: "a server that is needed can't be reached" },
  ESTALE: { code: 116, retryable: false, meaning: "the caller's epoch, version or generation is a past one" },
  ECANCELED: { code: 125, retryable: false, meaning: "what it was for is gone" },
} as const satisfies Record<string, ErrorEntry>;

export interface ErrorEntry {
  readonly code: number;
  readonly retryable: boolean;
  readonly meaning: string;
}

export type ErrorName = keyof typeof errorRegistry;

/** Fault code of a defect of ours. */
export const INTERNAL_ERROR_CODE = 500;
/** Fault code of bad XML and unknown methods. */
export const REQUEST_ERROR_CODE = 1;

/** An error that a client is told: `NAME: sentence`. The cause chain stays in the log. */
export class VasError extends Error {
  override readonly name = "VasError";

  constructor(
    readonly errno: ErrorName,
    /** For people: what is wrong, and what they can do. */
    readonly sentence: string,
    options?: ErrorOptions,
  ) {
    super(`${errno}: ${sentence}`, options);
  }

  get code(): number {
    return errorRegistry[this.errno].code;
  }

  get retryable(): boolean {
    return errorRegistry[this.errno].retryable;
  }
}

/** The registry's name for a fault code or errno; undefined if it has none. */
export function errorNameOf(code: number): ErrorName | undefined {
  for (const [name, entry] of Object.entries(errorRegistry)) {
    if (entry.code === code) return name as ErrorName;
  }
  return undefined;
}

/** The message of anything thrown, for logs and `last_error` columns. */
export function describeError(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
