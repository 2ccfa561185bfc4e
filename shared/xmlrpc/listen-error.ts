/** The server cannot take the address it was given. The message says which, and what to do. */
export class ListenError extends Error {
  override readonly name = "ListenError";

  constructor(host: string, port: number, cause: NodeJS.ErrnoException) {
    const address = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
    super(`Cannot listen on ${address}: ${reasonAndRemedy(cause)}`, { cause });
  }
}

function reasonAndRemedy(cause: NodeJS.ErrnoException): string {
  switch (cause.code) {
    case "EADDRINUSE":
      return "another program listens there; stop it, or configure another port.";
    case "EACCES":
      return "this user may not; configure a port above 1023, or run as a user who may.";
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return "this machine has no such address; configure one that it has.";
    default:
      return `${cause.message}.`;
  }
}
