import { VasError } from "../../shared/errors.js";
import type { Tx } from "../store/open-store.js";
import { addressesOf, type ServerKind } from "../store/servers.js";

/**
 * Which known server registers: a subset or a reordering of its addresses is the same server.
 *
 * @param known ids of the servers that own any of the addresses; at least one.
 * @throws VasError EEXIST if the addresses overlap with a known server's without being some of them.
 */
export async function assertSameServer(
  tx: Tx,
  kind: ServerKind,
  known: readonly number[],
  addresses: readonly string[],
): Promise<number> {
  const [serverId] = known;
  if (serverId !== undefined && known.length === 1) {
    const own = await addressesOf(tx, kind, serverId);
    if (addresses.every((address) => own.includes(address))) return serverId;
  }
  throw new VasError(
    "EEXIST",
    `ip_data ${addresses.join(", ")} overlaps with the addresses of another ${kind} server; register it with the addresses it had`,
  );
}
