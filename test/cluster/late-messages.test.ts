import { expect, test } from "vitest";
import { BindStatus, FailureTarget } from "../../shared/states.js";
import { MIB } from "../../shared/units.js";
import { randomData } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { openVolume, writeAll } from "../harness/volume-io.js";
import { attach, createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const LENGTH = 4 * MIB;

test("R1: a failure report that is overtaken by a fence is ESTALE, and the write that waits for it is not acknowledged", async () => {
  const cluster = await useCluster({
    storageServers: 3,
    headServers: 2,
    diskGb: 1,
    gate: true,
    manager: { replace_after: 600 },
  });
  const [one, two] = cluster.heads as [TestServer, TestServer];
  const volume = { name: "data", gigabytes: 1, redundancy: 3, head: one };
  const { lvolid, client } = await createOpened(cluster, volume);
  const kept = randomData("all have it", LENGTH);
  await writeAll(client, 0, kept);
  await client.flush();

  const hold = cluster.gate.hold({ method: "reportMemberFailure", from: one.plan.name });
  const lost = cluster.storage[1] as TestServer;
  await lost.kill();
  const write = client.write(LENGTH, randomData("in doubt", 4096)).then(
    () => "acknowledged",
    () => "refused",
  );
  const late = await hold.next();
  const targetid = await cluster.headServerId(one);
  await cluster.api("notifyFailure", { target: FailureTarget.HSVR, targetid });
  await waitUntil("the epoch is closed, and the volume unbound", async () => {
    const [found] = await cluster.api("listLogicalVolumes", { lvolid });
    return found?.bind_status === BindStatus.UNBOUND && found.bind_event === 0;
  });
  expect((await late.deliver()).errno).toBe("ESTALE");
  hold.end();
  expect(await write).toBe("refused");

  await attach(cluster, lvolid, two);
  expect((await late.deliver()).errno).toBe("ESTALE");
  lost.up();
  const again = await openVolume(two, "data");
  const after = randomData("after", LENGTH);
  await writeAll(again, LENGTH, after);
  await expectSound(cluster, lvolid, again, [
    { offset: 0, data: kept },
    { offset: LENGTH, data: after },
  ]);
});

test("R4: shreds and grants of a deleted volume that arrive when its space has a new owner are refused, for the first time or again", async () => {
  // The next volume gets just the space of the last one: there is no other.
  const cluster = await useCluster({ storageServers: 2, diskGb: 1, gate: true });
  const head = cluster.heads[0] as TestServer;
  const grants = cluster.gate.watch({ method: "grantExtents" });
  const shreds = cluster.gate.watch({ method: "registerShredRequest" });
  const old = await createOpened(cluster, { name: "old", gigabytes: 1, redundancy: 2, head });
  await writeAll(old.client, 0, randomData("old", LENGTH));
  await old.client.close();
  await cluster.api("detachLogicalVolume", { lvolid: old.lvolid });
  const oldGrants = [...grants];
  const hold = cluster.gate.hold({ method: "registerShredRequest" });
  await cluster.api("deleteLogicalVolume", { lvolid: old.lvolid });
  const first = await hold.next();
  await waitUntil("both servers are asked", () => hold.messages.some(({ to }) => to !== first.to));
  hold.end();
  // Nobody has heard of them; they are asked for again.
  await cluster.waitUntilUsable();

  const { lvolid, client } = await createOpened(cluster, {
    name: "new",
    gigabytes: 1,
    redundancy: 2,
    head,
  });
  const data = randomData("new", LENGTH);
  await writeAll(client, 0, data);
  expect(oldGrants.length).toBeGreaterThan(0);
  expect(shreds.length).toBeGreaterThan(0);
  // As long as their agents live they know these shreds, and do nothing; later ones go by place and generation alone.
  for (const message of [...hold.messages, ...shreds])
    expect([0, "ESTALE", "EBUSY"]).toContain((await message.deliver()).errno);
  for (const server of cluster.storage) {
    await server.killControl();
    server.up();
  }
  for (const message of [...hold.messages, ...shreds]) {
    const answer = await waitUntil("its agent serves the disk again", async () => {
      const { errno } = await message.deliver();
      return errno !== "EAGAIN" && errno !== "ENOENT" && { errno };
    });
    expect(["ESTALE", "EBUSY"]).toContain(answer.errno);
  }
  for (const message of oldGrants) expect((await message.deliver()).errno).toBe("ESTALE");
  await writeAll(client, LENGTH, data);
  await expectSound(
    cluster,
    lvolid,
    client,
    [0, LENGTH].map((offset) => ({ offset, data })),
  );
});
