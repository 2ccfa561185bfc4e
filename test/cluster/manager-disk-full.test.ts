import { join } from "node:path";
import { expect, test } from "vitest";
import { MIB } from "../../shared/units.js";
import { SmallFileSystem } from "../harness/full-disk.js";
import { expectConsistent, useCluster } from "../harness/use-cluster.js";

test("a full disk of the manager fails calls, not the state", async () => {
  const small = new SmallFileSystem(4 * MIB);
  const manager = { database: join(small.folder, "manager.db") };
  const cluster = await useCluster({ storageServers: 2, manager });
  await cluster.api("createLogicalVolume", { lvolname: "before", capacity: 1, redundancy: 2 });
  small.fill();

  // What is left inside the database's own files may be enough for some calls; it runs out.
  const create = (number: number) =>
    cluster.api("createLogicalVolume", { lvolname: `full-${number}`, capacity: 1, redundancy: 2 });
  const remove = (number: number) => cluster.api("deleteLogicalVolume", { lvolname: `full-${number}` });
  let failed = false;
  for (let number = 0; number < 10_000 && !failed; number += 1) {
    failed = await create(number)
      .then(() => remove(number))
      .then(
        () => false,
        () => true,
      );
  }
  expect(failed).toBe(true);
  expect((await cluster.api("listLogicalVolumes", {})).map(({ lvolname }) => lvolname)).toContain("before");

  small.empty();
  await cluster.api("createLogicalVolume", { lvolname: "after", capacity: 1, redundancy: 2 });
  await expectConsistent(cluster);
});
