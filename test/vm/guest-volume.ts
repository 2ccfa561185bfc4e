import type { Bytes, Milliseconds } from "../../shared/units.js";
import { seed as runSeed } from "../harness/random-data.js";
import type { ScenarioVolume } from "../scenarios/scenario-cluster.js";
import type { Machine } from "./machine.js";
import { GUEST_PROGRAMS } from "./project-disk.js";

/** Long: a write may wait until a lost server is recorded as lost. */
const IO_MS: Milliseconds = 240_000;

/** A volume in a machine. @param path of its block device, or of the socket of its NBD export */
export function guestVolume(machine: Machine, path: string): ScenarioVolume {
  const perform = (verb: string, ...args: readonly (string | number)[]): Promise<string> => {
    const quoted = args.map((arg) => `'${arg}'`).join(" ");
    const program = `NODE_OPTIONS=--jitless node ${GUEST_PROGRAMS}/volume-io.js`;
    return machine.run(`VAS_SEED=${runSeed} ${program} ${verb} '${path}' ${quoted}`, IO_MS);
  };
  return {
    write: async (offset: Bytes, length: Bytes, seed: string) => {
      await perform("write", offset, length, seed);
    },
    verify: async (offset: Bytes, length: Bytes, seed: string) => {
      await perform("verify", offset, length, seed);
    },
    digest: (offset: Bytes, length: Bytes) => perform("digest", offset, length),
    flush: async () => {
      await perform("flush");
    },
    // Each of the above opens it, and closes it again.
    close: async () => undefined,
  };
}
