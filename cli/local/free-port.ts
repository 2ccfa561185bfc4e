import { createServer } from "node:net";
import { LocalClusterError } from "./folder.js";

/**
 * Makes sure that nobody listens where our manager is to: our agents would register with a manager that is not ours.
 *
 * @throws LocalClusterError that tells how to use other addresses.
 */
export async function assertFreePort(host: string, port: number): Promise<void> {
  const server = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      server.once("listening", resolve).once("error", reject);
      server.listen({ host, port, exclusive: true });
    });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EADDRINUSE") throw error;
    throw new LocalClusterError(
      `something listens on ${host}:${port} already; end it, or run this cluster on other addresses, ` +
        "for example with --fresh --addresses 127.0.3.",
    );
  }
  await new Promise((resolve) => server.close(resolve));
}
