import type { z } from "zod";
import type { ErrorName } from "../errors.js";

/** When a method raises which error, a clause each: `the volume is attached`. */
export type ErrorClauses = Readonly<Partial<Record<ErrorName, string>>>;

/** One row of a method table: everything that dispatch, introspection, command line and docs need to know of a method. */
export interface Method<Params extends z.ZodType = z.ZodType, Result extends z.ZodType = z.ZodType> {
  /** Shape of the one struct that the method takes, without `ver`. Unknown members are ignored. */
  readonly params: Params;
  /** Shape of the answer. What is answered is not checked against it at run time; the tests do. */
  readonly result: Result;
  /** Besides EPROTO for a wrong `ver`, and EINVAL for a parameter that is missing, of another type or out of range. */
  readonly errors: ErrorClauses;
  /** What it does, for people: sentences of one paragraph. */
  readonly help: string;
}

/** Declares a method; the types of its parameters and its answer are those of the schemas. */
export const method = <Params extends z.ZodType, Result extends z.ZodType>(
  row: Method<Params, Result>,
): Method<Params, Result> => row;

/** A value as a caller hands it over: nothing in it is changed. */
export type Sent<T> = T extends object ? { readonly [K in keyof T]: Sent<T[K]> } : T;

export type ParamsOf<M> = M extends Method<infer P> ? z.infer<P> : never;
export type ResultOf<M> = M extends Method<z.ZodType, infer R> ? Sent<z.infer<R>> : never;
