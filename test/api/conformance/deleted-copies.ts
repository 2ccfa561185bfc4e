import { expect, test } from "vitest";
import type { ExtentNode } from "../../../shared/layout-tree.js";
import { FailureTarget } from "../../../shared/states.js";
import type { XmlRpcStruct } from "../../../shared/xmlrpc/value.js";
import type { TestCluster } from "../../harness/cluster.js";
import { attach } from "../../harness/volumes.js";
import { waitUntil } from "../../harness/wait-until.js";
import { copiesOf, restartStorageServer, storageServerOf, twoCopiesOf, waitUntilSound } from "./copies.js";
import { expectRefusals } from "./refusals.js";
import { createSmallAttached, headOf, infoOf } from "./volumes.js";

/** Copies go with their disk, or with the disks of their server. */
export interface CopyDeletion {
  readonly method: "deletePhysicalDisk" | "deleteStorageServer";
  readonly target: typeof FailureTarget.PDSK | typeof FailureTarget.SSVR;
  readonly member: "pdskid" | "ssvrid";
}

/** What both methods say about copies. Two servers of the cluster are lost, each with its disk; two are left. */
export function testCopyDeletion(cluster: () => TestCluster, deletion: CopyDeletion): void {
  const { method, target, member } = deletion;
  const params = ({ lvolspec }: ExtentNode): XmlRpcStruct => ({ [member]: lvolspec[member] });
  const remove = (copy: ExtentNode) => cluster().raw(method, { ver: 5, ...params(copy) });
  const fail = (copy: ExtentNode) =>
    cluster().api("notifyFailure", { target, targetid: copy.lvolspec[member] });
  const placesOf = async (lvolid: number): Promise<number[]> =>
    (await copiesOf(cluster(), lvolid)).map(({ lvolspec }) => lvolspec[member]);

  test(`${method} answers EBUSY while the head of an attached volume uses a copy on it`, async () => {
    const { lvolid, lvolname } = await createSmallAttached(cluster(), "in-use");
    const [copy] = await twoCopiesOf(cluster(), lvolid);
    const hold = cluster().gate.hold({ method: "replaceMirrorDisk" });
    await fail(copy);
    await hold.next();
    await expectRefusals(cluster(), method, [
      [params(copy), "EBUSY", lvolname],
      [params(copy), "EBUSY", "attached"],
    ]);
    await hold.messages[0]?.deliver();
    await hold.release();
    // It is gone for good: an agent that goes on would register it anew.
    if (target === FailureTarget.SSVR) await (await storageServerOf(cluster(), copy.lvolspec.ssvrid)).kill();
    await waitUntil("its head has let go of it", async () => (await remove(copy)) === 0);
    expect(await placesOf(lvolid)).not.toContain(copy.lvolspec[member]);
    await cluster().api("detachLogicalVolume", { lvolid });
    await cluster().api("deleteLogicalVolume", { lvolid });
  });

  test(`${method} takes a copy of a detached volume, which is made anew at the next attach, but never the last good one`, async () => {
    const { lvolid, lvolname } = await createSmallAttached(cluster(), "detached");
    await cluster().api("detachLogicalVolume", { lvolid });
    const [first, last] = await twoCopiesOf(cluster(), lvolid);
    await fail(first);
    if (target === FailureTarget.SSVR) await (await storageServerOf(cluster(), first.lvolspec.ssvrid)).kill();
    expect(await remove(first)).toBe(0);
    expect(await placesOf(lvolid)).toContain(last.lvolspec[member]);
    expect(await placesOf(lvolid)).not.toContain(first.lvolspec[member]);
    expect(await infoOf(cluster(), lvolid)).toMatchObject({ fault: true });
    expect(await cluster().check()).toEqual([]);

    const { ssvrid } = last.lvolspec;
    await cluster().api("notifyFailure", { target: FailureTarget.SSVR, targetid: ssvrid });
    await expectRefusals(cluster(), method, [
      [params(last), "EBUSY", lvolname],
      [params(last), "EBUSY", "last good copy"],
    ]);
    await restartStorageServer(cluster(), ssvrid);
    expect(await infoOf(cluster(), lvolid)).toMatchObject({ fault: true });

    await attach(cluster(), lvolid, headOf(cluster()));
    await waitUntilSound(cluster(), lvolid);
    expect(await placesOf(lvolid)).toHaveLength(2);
    expect(await placesOf(lvolid)).toContain(last.lvolspec[member]);
    await cluster().api("detachLogicalVolume", { lvolid });
  });
}
