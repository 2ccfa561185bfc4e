import { isIP } from "node:net";

/** The address that a name stands for; undefined if it stands for none, or nobody can tell in time. */
export type Resolve = (name: string) => Promise<string | undefined>;

/** Who names no address to listen on is heard on this machine only. */
const LOOPBACK = "127.0.0.1";

/**
 * Where the manager listens if it is not told: at the address among those at which it is looked for that is this machine's.
 *
 * @param hosts addresses or names, `host_list`
 * @param own addresses of this machine
 */
export async function managerAddress(
  hosts: readonly string[],
  own: ReadonlySet<string>,
  resolve: Resolve,
): Promise<string> {
  for (const host of hosts) {
    const address = isIP(host) === 0 ? await resolve(host) : host;
    // All of 127.0.0.0/8 is, though only its first address is listed.
    if (address !== undefined && (own.has(address) || address.startsWith("127."))) return address;
  }
  return LOOPBACK;
}

/**
 * Where an agent listens: at the addresses that it is told, or else at its data addresses, which Vastsky installations name
 * HOSTNAME-data1 and HOSTNAME-data2. Both may be the same.
 */
export async function dataAddresses(
  configured: readonly string[],
  hostname: string,
  resolve: Resolve,
): Promise<readonly string[]> {
  if (configured.length > 0) return configured;
  const found = await Promise.all([1, 2].map((number) => resolve(`${hostname}-data${number}`)));
  const addresses = [...new Set(found.filter((address) => address !== undefined))];
  return addresses.length > 0 ? addresses : [LOOPBACK];
}
