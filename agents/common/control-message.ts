import { z } from "zod";
import { type ErrorName, errorRegistry, VasError } from "../../shared/errors.js";

/** The messages of control sockets, one JSON object a line: `{id, method, params}` → `{id, result}` or `{id, error}`. */

/** Longest line, in bytes: the grants of a large disk travel in one. */
export const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** `errno` of an error that is a defect of the answering process. */
const DEFECT = "DEFECT";

const requestShape = z.object({
  id: z.union([z.number(), z.string()]),
  method: z.string(),
  params: z.unknown().optional(),
});
export type ControlRequest = z.infer<typeof requestShape>;

const responseShape = z.object({
  result: z.unknown().optional(),
  error: z.object({ errno: z.string(), sentence: z.string() }).optional(),
});

/** What the other process answered is no answer, or it says that it has a defect. */
export class ControlDefectError extends Error {
  override readonly name = "ControlDefectError";
}

/** @returns undefined if the line is not a request, so that nobody waits for an answer to it. */
export function parseRequest(line: string): ControlRequest | undefined {
  return requestShape.safeParse(parseJson(line)).data;
}

export function resultLine(id: ControlRequest["id"], result: unknown): string {
  return `${JSON.stringify({ id, result: result ?? null })}\n`;
}

export function errorLine(id: ControlRequest["id"], error: unknown): string {
  const shown =
    error instanceof VasError
      ? { errno: error.errno, sentence: error.sentence }
      : { errno: DEFECT, sentence: error instanceof Error ? error.message : String(error) };
  return `${JSON.stringify({ id, error: shown })}\n`;
}

/**
 * The result in an answer.
 *
 * @throws VasError if the answer is an error of the registry
 * @throws ControlDefectError if it is another one, or no answer at all
 */
export function readResult(line: string): unknown {
  const answer = responseShape.safeParse(parseJson(line));
  if (!answer.success)
    throw new ControlDefectError("the answer is not a JSON object with a result or an error");
  const { error, result } = answer.data;
  if (error === undefined) return result;
  if (Object.hasOwn(errorRegistry, error.errno)) throw new VasError(error.errno as ErrorName, error.sentence);
  throw new ControlDefectError(error.sentence);
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
