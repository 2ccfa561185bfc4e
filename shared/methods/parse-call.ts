import { VasError } from "../errors.js";
import { XMLRPC_VERSION } from "../states.js";
import { describeIssue } from "../wire-types.js";
import { isXmlRpcStruct, type XmlRpcStruct, type XmlRpcValue } from "../xmlrpc/value.js";
import type { Method } from "./method.js";

/**
 * The one struct that every call takes, its protocol version checked before anything else.
 *
 * @throws VasError EINVAL unless there is exactly one struct; EPROTO unless its `ver` is ours.
 */
export function readStruct(name: string, given: readonly XmlRpcValue[]): XmlRpcStruct {
  const [struct] = given;
  if (given.length !== 1 || !isXmlRpcStruct(struct))
    throw new VasError("EINVAL", `${name} takes exactly one struct`);
  if (struct.ver !== XMLRPC_VERSION) {
    throw new VasError(
      "EPROTO",
      `ver must be the int ${XMLRPC_VERSION}, the version of the protocol that is spoken here`,
    );
  }
  return struct;
}

/** The typed parameters of a call. @throws VasError EINVAL, naming the member that is wrong. */
export function parseParams(method: Method, given: XmlRpcStruct | readonly XmlRpcValue[]): unknown {
  const parsed = method.params.safeParse(given);
  if (!parsed.success) throw new VasError("EINVAL", describeIssue(parsed.error));
  return parsed.data;
}
