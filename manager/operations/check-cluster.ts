import { checkState } from "../store/check-state.js";
import type { Operation } from "./operation.js";

/** Verifies the whole state. @returns what is wrong, a sentence each. */
export const checkCluster: Operation<Record<string, never>, string[]> = async (tx) => checkState(tx);
