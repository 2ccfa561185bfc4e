import { showVolume } from "../../../shared/ids.js";
import type { Milliseconds } from "../../../shared/units.js";
import { connectNbd, type NbdClient, NbdConnectError } from "../../common/nbd/client.js";
import { PolicyRefusal } from "./disk-connection.js";

/** Whose connection it is. */
export interface DiskAccess {
  readonly lvolid: number;
  readonly epoch: number;
  readonly incarnation: number;
}

const PATH_PATTERN = /^nbd:\/\/(.+):(\d+)\/(pdsk-[0-9a-f]{8})$/;

/**
 * Opens a disk's export, at the first of its addresses that answers.
 *
 * @param paths `nbd://HOST:PORT/pdsk-%08x`, one for each data address of its server
 * @throws PolicyRefusal if the volume or its epoch is not granted there
 * @throws Error if no address answers
 */
export async function openDisk(
  paths: readonly string[],
  { lvolid, epoch, incarnation }: DiskAccess,
  { timeoutMs, onClose }: { readonly timeoutMs: Milliseconds; readonly onClose: () => void },
): Promise<NbdClient> {
  let failure: unknown = new Error("the disk has no address");
  for (const path of paths) {
    const [, host, port, disk] = PATH_PATTERN.exec(path) ?? [];
    if (host === undefined) {
      failure = new Error(`"${path}" is not of the form nbd://HOST:PORT/pdsk-XXXXXXXX`);
      continue;
    }
    const name = `${disk}/${showVolume(lvolid)}/${epoch}/${incarnation}`;
    const where = { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
    try {
      return await connectNbd(where, name, { timeoutMs, onClose });
    } catch (error) {
      if (error instanceof NbdConnectError && error.reason === "policy") {
        throw new PolicyRefusal(error.message, { cause: error });
      }
      failure = error;
    }
  }
  throw failure;
}
