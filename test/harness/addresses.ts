import { randomInt } from "node:crypto";
import { createServer, type Server } from "node:net";

/** Three bytes of loopback addresses that belong to one test cluster, whoever else runs tests on this machine. */
export interface AddressBlock {
  /** `127.x.y.` */
  readonly prefix: string;
  release(): void;
}

/** Nobody else listens here; the cluster's own servers use other addresses of the block. */
const LOCK_HOST_BYTE = 254;
const LOCK_PORT = 8880;

function listen(host: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", (error: NodeJS.ErrnoException) => {
      if (error.code === "EADDRINUSE") resolve(undefined);
      else reject(error);
    });
    server.listen({ host, port: LOCK_PORT, exclusive: true }, () => resolve(server));
  });
}

/** Claims a block by a listening socket, which the kernel takes back however this process ends. */
export async function claimAddresses(): Promise<AddressBlock> {
  for (;;) {
    const prefix = `127.${randomInt(1, 255)}.${randomInt(0, 256)}.`;
    const lock = await listen(`${prefix}${LOCK_HOST_BYTE}`);
    if (lock === undefined) continue;
    lock.unref();
    return { prefix, release: () => lock.close() };
  }
}
