import { readFileSync } from "node:fs";
import fc from "fast-check";
import { expect, test } from "vitest";
import { MANAGER_PORT } from "../../cli/local/plan.js";
import { logPath } from "../../cli/local/server.js";
import { managerMethods } from "../../shared/methods/manager-methods.js";
import { MIB } from "../../shared/units.js";
import type { TestCluster } from "../harness/cluster.js";
import type { HeapProbe } from "../harness/heap-probe.js";
import { seed } from "../harness/random-data.js";
import { expectConsistent } from "../harness/use-cluster.js";
import { waitUntil } from "../harness/wait-until.js";
import { type HostileTarget, sendHostile } from "../xmlrpc/hostile-outcome.js";
import type { HostileRequest } from "../xmlrpc/hostile-request.js";
import { RawConnection } from "../xmlrpc/raw-connection.js";
import { requestOf } from "./call-request.js";
import { echoRows } from "./hostile/echo-rows.js";
import { hostileCluster, type Known } from "./hostile/known.js";
import { memberKinds } from "./hostile/member-kinds.js";
import { type Mutant, mutants } from "./hostile/mutations.js";
import { Witness } from "./hostile/witness.js";
import { wrongDocuments } from "./hostile/wrong-documents.js";
import { wrongHttp } from "./hostile/wrong-http.js";
import { wrongTypeRows } from "./hostile/wrong-types.js";

const MUTANTS = 600;
const WARM_UP_MUTANTS = 100;
const CHECKPOINT = 250;
/** One in so many requests is sent before the memory is looked at for the first time. */
const WARM_UP_SHARE = 4;
const MAX_GROWTH = 5 * MIB;
const MAX_LOG_LINE = 16 * 1024;

/** Those that wait until the manager's patience ends, which takes as long for many as for one. */
const isSlow = ({ raw, ending, expect: outcome }: HostileRequest): boolean =>
  raw !== undefined && ending === undefined && outcome === "closed";

const targetOf = (cluster: TestCluster): HostileTarget => ({
  host: cluster.manager.rpcAddress,
  port: MANAGER_PORT,
  good: requestOf("listHeadServers", {}),
  answer: "<name>hsvrid</name>",
});

async function sendAll(
  rows: readonly HostileRequest[],
  target: HostileTarget,
  witness: Witness,
): Promise<void> {
  for (const [index, row] of rows.entries()) {
    await sendHostile(target, row).catch((cause: unknown) => {
      throw new Error(`${row.name}: ${cause instanceof Error ? cause.message : cause}`, { cause });
    });
    await witness.expectLists(row.name);
    if (index % CHECKPOINT === 0) await witness.expectWhole();
  }
}

/** @returns whether it was answered as a good call, which a mutant may be by chance. */
async function sendMutant({ bytes }: Mutant, { host, port }: HostileTarget): Promise<boolean> {
  const connection = await RawConnection.open(port, host);
  connection.send(bytes);
  connection.end();
  await connection.until("an answer or the end", ({ closed }) => closed);
  expect(connection.received).not.toContain("<name>faultCode</name><value><int>500</int>");
  return connection.received.includes("<methodResponse><params>");
}

/** Sends so many spoiled calls. */
async function sendMutants(
  known: Known,
  target: HostileTarget,
  witness: Witness,
  numRuns: number,
): Promise<void> {
  const send = async (mutant: Mutant): Promise<void> => {
    const isAnswered = await sendMutant(mutant, target);
    if (isAnswered && mutant.method.startsWith("create")) {
      // A new name that is as good as the old one: the call was right, and did what it says.
      return witness.look();
    }
    await witness.expectLists(mutant.bytes.toString("latin1").slice(0, 2_000));
  };
  await fc.assert(fc.asyncProperty(mutants(known), send), { seed, numRuns, endOnFailure: true });
}

/** Nobody is connected any more who was not before, and no file is open. */
async function expectNothingHeld(probe: HeapProbe, descriptors: number, heldBefore: number): Promise<void> {
  await waitUntil("no more descriptors are open than before", () => probe.descriptors() <= descriptors);
  const { heapUsed, external } = await probe.measure();
  expect(heapUsed + external - heldBefore).toBeLessThan(MAX_GROWTH);
}

function expectQuietLog(cluster: TestCluster): void {
  const lines = readFileSync(logPath(cluster.manager.plan), "utf8").split("\n");
  expect(lines.filter((line) => line.includes("defect of ours"))).toEqual([]);
  expect(Math.max(...lines.map(({ length }) => length))).toBeLessThan(MAX_LOG_LINE);
}

test("the table of members names each member of each method", () => {
  for (const [method, { params }] of Object.entries(managerMethods)) {
    const kinds = memberKinds[method as keyof typeof memberKinds];
    expect(Object.keys(kinds).sort(), method).toEqual(Object.keys(params.shape).sort());
  }
});

test("no hostile request changes the state, stops the next good call, or leaves anything behind", async () => {
  const { cluster, known, probe } = await hostileCluster();
  const target = targetOf(cluster);
  const witness = await Witness.of(cluster);
  const rows = [...echoRows(), ...wrongDocuments, ...wrongHttp, ...wrongTypeRows(known)];
  const quick = rows.filter((row) => !isSlow(row));
  const slow = rows.filter(isSlow);
  expect(rows.length).toBeGreaterThan(300);

  await sendAll(
    quick.filter((_row, index) => index % WARM_UP_SHARE === 0),
    target,
    witness,
  );
  await sendMutants(known, target, witness, WARM_UP_MUTANTS);
  const before = await probe.measure();
  const descriptors = probe.descriptors();

  await Promise.all([quick, ...slow.map((row) => [row])].map((some) => sendAll(some, target, witness)));
  await witness.expectWhole();
  await sendMutants(known, target, witness, MUTANTS);
  await witness.expectWhole();
  await expectNothingHeld(probe, descriptors, before.heapUsed + before.external);
  expectQuietLog(cluster);
  await expectConsistent(cluster);
});
