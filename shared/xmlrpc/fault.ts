/** An error that the other side is to see, or that it sent: a number for programs and a text for people. */
export class XmlRpcFault extends Error {
  override readonly name = "XmlRpcFault";
  readonly code: number;
  readonly faultString: string;

  constructor(code: number, faultString: string, options?: ErrorOptions) {
    super(`fault ${code}: ${faultString}`, options);
    this.code = code;
    this.faultString = faultString;
  }
}
