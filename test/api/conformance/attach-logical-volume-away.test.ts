import { expect, test } from "vitest";
import { faultOf } from "../../harness/fault-of.js";
import type { TestServer } from "../../harness/test-server.js";
import { expectConsistent, useCluster } from "../../harness/use-cluster.js";
import { openVolume } from "../../harness/volume-io.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import {
  bound,
  createSmall,
  createSmallAttached,
  expectBinding,
  headOf,
  infoOf,
  patient,
  unbound,
} from "./volumes.js";

const method = "attachLogicalVolume";

test("attachLogicalVolume answers EHOSTDOWN if the head or a last good copy can't be reached, and is undone", async () => {
  const own = await useCluster({ storageServers: 2, diskGb: 4, manager: { ...patient, agent_timeout: 10 } });
  const head = headOf(own);
  const volume = await createSmallAttached(own, "data");
  const { lvolid } = volume;
  const client = await openVolume(head, "data");
  const [away, last] = own.storage as [TestServer, TestServer];
  await away.kill();
  await client.write(0, Buffer.alloc(4096, 1));
  await client.close();
  await waitUntil("it is detached", async () => (await own.api("detachLogicalVolume", { lvolid })) === 0);

  await last.kill();
  const hsvrid = await own.headServerId(head);
  const refusal = await faultOf(own.api(method, { lvolid, hsvrid }));
  expect(refusal.errno).toBe("EHOSTDOWN");
  expect(refusal.sentence).toContain("last good copy");
  expect(await infoOf(own, lvolid)).toMatchObject({ ...unbound, bind_error: refusal.sentence });

  // With that copy the volume is attached, although the other one is still away.
  last.up();
  await last.waitUntilAnswers();
  await head.killControl();
  expect((await faultOf(own.api(method, { lvolid, hsvrid }))).errno).toBe("EHOSTDOWN");
  await waitUntil("it is undone", async () => (await infoOf(own, lvolid)).bind_event === 0);
  await expectBinding(own, lvolid, unbound);
  head.up();
  await head.waitUntilAnswers();
  await own.api(method, { lvolid, hsvrid });
  expect(await infoOf(own, lvolid)).toMatchObject({ ...bound, fault: true, bind_error: "" });
  await expectConsistent(own);
});

test("attachLogicalVolume answers ETIMEDOUT if it does not end within attach_timeout, and is undone", async () => {
  const own = await useCluster({
    storageServers: 2,
    diskGb: 4,
    gate: true,
    manager: { ...patient, attach_timeout: 15 },
    head: { member_timeout: 300 },
  });
  const { lvolid } = await createSmall(own, "data");
  const exports = own.storage.flatMap((server) => server.dataPathPids());
  const signalExports = (signal: NodeJS.Signals) => exports.forEach((pid) => void process.kill(pid, signal));
  // The head has agreed, and gets no answer from the disks.
  const stop = own.gate.handle({ method }, (message) => {
    signalExports("SIGSTOP");
    return message.deliver();
  });
  const undoing = own.gate.watch({ method: "detachLogicalVolume" });
  const call = faultOf(attach(own, lvolid, headOf(own)));
  await waitUntil("it is undone", () => undoing.length > 0).finally(() => signalExports("SIGCONT"));
  const refusal = await call;
  expect(refusal.errno).toBe("ETIMEDOUT");
  expect(await infoOf(own, lvolid)).toMatchObject({ ...unbound, bind_error: refusal.sentence });
  expect(headOf(own).dataPathPids()).toEqual([]);
  stop();
  await attach(own, lvolid, headOf(own));
  await expectConsistent(own);
});
