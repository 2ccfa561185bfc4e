import { lookup } from "node:dns/promises";
import { setTimeout as pause } from "node:timers/promises";
import type { Resolve } from "./own-addresses.js";

const DEADLINE_MS = 5_000;

/** As the system resolves names: /etc/hosts, then whatever else it is told to ask. */
export const resolveName: Resolve = async (name) => {
  const late = new AbortController();
  const deadline = pause(DEADLINE_MS, undefined, { signal: late.signal }).catch(() => undefined);
  const found = lookup(name).then(
    ({ address }) => address,
    () => undefined,
  );
  const address = await Promise.race([found, deadline]);
  late.abort();
  return address;
};
