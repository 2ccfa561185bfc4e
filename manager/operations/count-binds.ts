import { lastBindNumber } from "../store/sequences.js";
import type { Operation } from "./operation.js";

/** How many attaches have succeeded so far in this cluster: a point in time that no clock can set back. */
export const countBinds: Operation<Record<string, never>, number> = async (tx) => lastBindNumber(tx);
