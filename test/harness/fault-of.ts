import { errorNameOf } from "../../shared/errors.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";

/** What a refused call answered. */
export interface Refusal {
  /** errno name, or the bare code where it has none. */
  readonly errno: string;
  /** For people. */
  readonly sentence: string;
}

/** @throws if the call was not refused with a fault. */
export async function faultOf(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof XmlRpcFault)) throw error;
    return { errno: errorNameOf(error.code) ?? String(error.code), sentence: error.faultString };
  }
  throw new Error("the call was not refused");
}
