import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { AgentsPort } from "../../manager/agents-port/agents-port.js";
import { detach } from "../../manager/jobs/handlers/detach.js";
import { CopyComparer } from "../../manager/jobs/reconcilers/compare-copies.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { systemClock } from "../../shared/clock.js";
import { MAX_CHECKSUMS } from "../../shared/methods/agent-methods.js";
import { EventStatus } from "../../shared/states.js";
import { REGIONS_PER_GB } from "../../shared/units.js";
import { fault, playedCluster } from "./played-cluster.js";

const ESTALE = 116;
const YEAR = 365 * 86_400_000;

/** A volume that is attached and due to be compared, whose copies are equal. */
async function dueVolume() {
  const cluster = await playedCluster();
  const { state, storage } = cluster;
  expect(await cluster.tryAttach()).toMatchObject({ status: EventStatus.DONE });
  state.now += YEAR;
  for (const { answers } of storage) answers.checksumRegions = () => Array(MAX_CHECKSUMS).fill("equal");
  const agents = new AgentsPort({ cluster: "c", serial: 1 }, 10_000);
  onTestFinished(() => agents.close());
  const comparer = new CopyComparer({
    executor: state.executor,
    agents,
    clock: systemClock,
    log: pino({ level: "silent" }),
    signal: new AbortController().signal,
  });
  const [first] = storage;
  if (first === undefined) throw new Error("there is no storage server");
  const asked = () => first.calls.filter((method) => method === "checksumRegions").length;
  return { ...cluster, first, comparer, asked };
}

test("copies that can't be compared are let alone for a while", async () => {
  const { first, comparer, asked } = await dueVolume();
  first.answers.checksumRegions = fault(ESTALE, "the space has another generation");
  await comparer.run();
  await comparer.run();
  expect(asked()).toBe(1);
});

test("copies whose volume is being detached during their comparison are compared as soon as it is attached", async () => {
  const { state, lvolid, first, comparer, asked, handle, tryAttach } = await dueVolume();
  const { checksumRegions } = first.answers;
  first.answers.checksumRegions = async () => {
    await state.run(beginDetach, { lvolid });
    return fault(ESTALE, "the space has another generation")();
  };
  await comparer.run();
  expect(asked()).toBe(1);

  first.answers.checksumRegions = checksumRegions ?? (() => []);
  await handle("detach", detach);
  await tryAttach();
  await comparer.run();
  const all = 1 + REGIONS_PER_GB / MAX_CHECKSUMS;
  expect(asked()).toBe(all);
  // They were found equal: nothing is due any more.
  await comparer.run();
  expect(asked()).toBe(all);
  expect(await state.findings()).toEqual([]);
});
