/** A document that is not XML, not XML-RPC, or beyond our limits. The message is a sentence fit for the sender. */
export class XmlRpcFormatError extends Error {
  override readonly name = "XmlRpcFormatError";
}

const SHOWN = 40;

/** Shows a piece of a received document in a message: in quotes, and short however long the piece is. */
export function quoteReceived(text: string): string {
  return JSON.stringify(text.length > SHOWN ? `${text.slice(0, SHOWN)}…` : text);
}
