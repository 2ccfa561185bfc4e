import { dirname, join } from "node:path";
import { showVolume } from "../../../shared/ids.js";
import type { Milliseconds } from "../../../shared/units.js";
import { checkSocketPath } from "../../common/control-socket.js";
import { NbdErrno } from "../../common/nbd/protocol.js";
import { createExportServer, type ExportServer } from "./export-server.js";
import { type OwnedNames, publishSocket } from "./own-socket.js";
import type { Snapshot } from "./snapshot.js";

/** A snapshot's export on a Unix socket of its own, beside its volume's: `lvol-%08x`, and a link by its name. */
export class SnapshotServer {
  readonly #snapshot: Snapshot;
  readonly #server: ExportServer;
  #names: OwnedNames | undefined;

  constructor(snapshot: Snapshot) {
    this.#snapshot = snapshot;
    const { lvolid, name, size } = snapshot;
    this.#server = createExportServer({
      names: [name, showVolume(lvolid)],
      info: {
        size,
        description: name,
        readOnly: true,
        canFlush: true, // clients send it whatever they have open
        canFua: false,
        canTrim: false,
        canZero: false,
        multiConn: true,
      },
      request: ({ command, offset, length }, done) => {
        if (command === "read") snapshot.read(offset, length, done);
        else if (command === "flush") done(snapshot.state === "active" ? 0 : NbdErrno.EIO);
        else done(NbdErrno.EPERM);
      },
    });
  }

  get clients(): number {
    return this.#server.nbd.connectionCount;
  }

  /** @param volumeSocket of the volume. @throws Error if something else is at its place */
  async listen(volumeSocket: string): Promise<void> {
    const folder = dirname(volumeSocket);
    const socket = join(folder, showVolume(this.#snapshot.lvolid));
    checkSocketPath(socket);
    await this.#server.nbd.listenUnix(socket);
    this.#names = publishSocket(socket, join(folder, this.#snapshot.name));
  }

  /** Refuses new clients from now on. */
  refuse(): void {
    this.#server.refuse();
  }

  /** See `ExportServer.fence`. */
  fence(): void {
    this.#server.fence();
  }

  /** Answers what is under way, ends the connections, and removes socket and link. */
  async close(lingerMs: Milliseconds): Promise<void> {
    this.#server.refuse();
    await this.#server.nbd.close(lingerMs);
    this.#names?.remove();
  }
}
