import { expect } from "vitest";
import type { CheckedState } from "../../shared/methods/api/answers.js";
import type { ManagedCluster } from "./managed-cluster.js";
import { waitUntil } from "./wait-until.js";

/** What the manager takes at most to learn that a server is not there, and to make good what it left behind. */
const SETTLE_MS = 60_000;

/**
 * `vas check` finds nothing. The manager's own state is sound at any instant. What agents hold follows it: with a server that
 * was stopped a moment ago, or is just back, it is waited for. Without a manager there is nothing to compare with.
 */
export async function expectConsistent(cluster: ManagedCluster): Promise<void> {
  if (!(await cluster.isManagerRunning())) return;
  let last: CheckedState | undefined;
  try {
    await waitUntil(
      "agents hold what the state says",
      async () => {
        last = await checkAsked(cluster);
        return last.findings.length > 0 || last.differences.length === 0;
      },
      SETTLE_MS,
    );
  } catch (error) {
    if (last === undefined) throw error;
  }
  expect(last).toMatchObject({ findings: [], differences: [] });
}

/** Without servers that could not be asked: a test may have made them up, or stopped them. */
async function checkAsked(cluster: ManagedCluster): Promise<CheckedState> {
  const { differences, ...rest } = await cluster.api("checkState", {});
  const isAsked = (sentence: string): boolean => !sentence.includes("is in use, but can't be asked");
  return { ...rest, differences: differences.filter(isAsked) };
}
