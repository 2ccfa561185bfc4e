import { diskFaults } from "./disk-faults.js";
import { linkFaults } from "./link-faults.js";
import { processFaults } from "./process-faults.js";
import { reportFaults } from "./report-faults.js";
import type { Fault } from "./world.js";

/** Everything that is done to a cluster while it is used. */
export const faults: readonly Fault[] = [...processFaults, ...linkFaults, ...diskFaults, ...reportFaults];
