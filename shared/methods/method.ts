import type { z } from "zod";
import type { ErrorName } from "../errors.js";

/** One row of a method table: everything that dispatch, help, command line and docs need to know of a method. */
export interface Method<Params extends z.ZodType = z.ZodType, Result = unknown> {
  /** Shape of the one struct that the method takes, without `ver`. Unknown members are ignored. */
  readonly params: Params;
  /** XML-RPC type of the answer, for `system.methodSignature` and the docs. */
  readonly returns: string;
  readonly errors: readonly ErrorName[];
  /** One or two sentences for people. */
  readonly help: string;
  /** Not a value: carries the type of the answer. */
  readonly result?: Result;
}

/** Declares a method; `Result` is given first, the parameters' type is inferred. */
export function method<Result>() {
  return <Params extends z.ZodType>(row: Omit<Method<Params, Result>, "result">): Method<Params, Result> =>
    row;
}

/** A value as a caller hands it over: nothing in it is changed. */
export type Sent<T> = T extends object ? { readonly [K in keyof T]: Sent<T[K]> } : T;

export type ParamsOf<M> = M extends Method<infer P, unknown> ? z.infer<P> : never;
export type ResultOf<M> = M extends Method<z.ZodType, infer R> ? R : never;
