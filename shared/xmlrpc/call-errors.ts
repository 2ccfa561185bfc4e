/** Nothing of the call was delivered: no address could be connected to in time. Calling again is safe. */
export class XmlRpcUnreachableError extends Error {
  override readonly name = "XmlRpcUnreachableError";
}

/** The call was sent, and its deadline passed before the whole answer came. Whether it ran is unknown. */
export class XmlRpcTimeoutError extends Error {
  override readonly name = "XmlRpcTimeoutError";
}

/**
 * The call was sent, and what came back is no answer of XML-RPC: the connection broke, another HTTP status, a document
 * that is too large or malformed. Whether it ran is unknown.
 */
export class XmlRpcTransportError extends Error {
  override readonly name = "XmlRpcTransportError";
}
