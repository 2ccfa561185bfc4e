import { expect, test } from "vitest";
import { KIND_TEST_MS } from "./crash/job-kind.js";
import { attach, detach, fence } from "./crash/kinds.js";
import { runKind, startWorld } from "./crash/run-kind.js";

for (const kind of [attach, detach, fence]) {
  test(
    `a job that is stopped at any point ends as if it had not been: ${kind.name}`,
    () => runKind(kind),
    KIND_TEST_MS,
  );
}

test(
  "a detach whose answer is lost is asked for again, and not refused with the volume gone from its head",
  async () => {
    const world = await startWorld(detach);
    await detach.begin(world);
    for (const method of ["detachLogicalVolume", "waitEvent"]) {
      await detach.prepare(world);
      const point = { kind: `after answer of ${method}`, occurrence: 1 };
      world.probes.manager.arm({ point, action: "drop" });
      await world.detach();
      expect(world.probes.manager.wasHit).toBe(true);
      world.probes.manager.disarm();
      expect(await detach.finish(world)).toBe("done");
    }
  },
  KIND_TEST_MS,
);
