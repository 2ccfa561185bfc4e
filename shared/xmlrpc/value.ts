/**
 * A value as XML-RPC carries it. Whole numbers travel as `int` (32 bits) or `i8` (up to 2^53 - 1), others as `double`;
 * a Date travels without a time zone and is UTC on both ends; bytes travel as `base64`. There is no null: a member that
 * has no value is left out.
 */
export type XmlRpcValue =
  | number
  | string
  | boolean
  | Date
  | Uint8Array
  | readonly XmlRpcValue[]
  | XmlRpcStruct;

/**
 * Named members. A decoded struct has no prototype, so `__proto__`, `constructor` or `toString` are plain data in it
 * and absent unless sent. Members that are undefined are not sent.
 */
export interface XmlRpcStruct {
  readonly [member: string]: XmlRpcValue | undefined;
}

/** Tells an array from the other values; `Array.isArray` alone does not narrow a read-only array. */
export function isXmlRpcArray(value: XmlRpcValue | undefined): value is readonly XmlRpcValue[] {
  return Array.isArray(value);
}

/** Tells a struct from the other values. */
export function isXmlRpcStruct(value: XmlRpcValue | undefined): value is XmlRpcStruct {
  return (
    typeof value === "object" &&
    !Array.isArray(value) &&
    !(value instanceof Date) &&
    !(value instanceof Uint8Array)
  );
}
