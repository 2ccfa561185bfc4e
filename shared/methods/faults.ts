import { errorNameOf, VasError } from "../errors.js";
import { XmlRpcFault } from "../xmlrpc/fault.js";

/** The fault that a client sees: the errno as its code, `NAME: sentence` as its text. */
export function faultOf(error: VasError): XmlRpcFault {
  return new XmlRpcFault(error.code, error.message, { cause: error });
}

/** The error that a fault stands for; one with a number that is not in the registry stays what it is. */
export function errorOf(fault: XmlRpcFault): VasError | XmlRpcFault {
  const errno = errorNameOf(fault.code);
  if (errno === undefined) return fault;
  const prefix = `${errno}: `;
  const text = fault.faultString;
  return new VasError(errno, text.startsWith(prefix) ? text.slice(prefix.length) : text, { cause: fault });
}
