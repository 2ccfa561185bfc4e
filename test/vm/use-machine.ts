import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject, onTestFinished } from "vitest";
import { Machine, type MachinePlan } from "./machine.js";

/** A machine that ends with the test; the end of its console is printed if the test failed. */
export async function useMachine(plan: Partial<MachinePlan> = {}): Promise<Machine> {
  const folder = await mkdtemp(join(tmpdir(), "vas-vm-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const machine = await Machine.boot({ name: "one", image: inject("machineImage"), folder, ...plan });
  onTestFinished(async ({ task }) => {
    await machine.end();
    if (task.result?.state === "fail") process.stderr.write(`${machine.consoleTail()}\n`);
  });
  return machine;
}
