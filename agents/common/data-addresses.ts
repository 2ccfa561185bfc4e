import { hostname } from "node:os";
import { dataAddressesOf } from "../../shared/own-addresses.js";
import { resolveName } from "../../shared/resolve-name.js";

/** The addresses that an agent listens on: the configured ones, or else those that this machine's name leads to. */
export async function dataAddresses(configured: readonly string[]): Promise<readonly string[]> {
  return configured.length > 0 ? configured : dataAddressesOf(hostname(), resolveName);
}
