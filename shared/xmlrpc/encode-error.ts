/** A value that XML-RPC cannot carry, such as NaN or null: a defect of the side that tried to send it. */
export class XmlRpcEncodeError extends Error {
  override readonly name = "XmlRpcEncodeError";
}
