import { killOrphans } from "./orphans.js";

/** Runs once, before all test files: what an earlier run left behind would only slow this one down. */
export async function setup(): Promise<void> {
  await killOrphans();
}

export async function teardown(): Promise<void> {
  await killOrphans();
}
