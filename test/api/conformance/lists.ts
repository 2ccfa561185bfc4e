import { expect, test } from "vitest";
import { MemberStatus } from "../../../shared/states.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../../shared/xmlrpc/value.js";
import type { TestCluster } from "../../harness/cluster.js";
import { copiesOf, twoCopiesOf } from "./copies.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals } from "./refusals.js";
import { createSmallAttached } from "./volumes.js";

/** A list that an optional id narrows down. */
export interface NarrowedList {
  readonly method: "listHeadServers" | "listStorageServers" | "listPhysicalDisks";
  readonly member: "hsvrid" | "ssvrid";
  /** Of whom the id is. */
  readonly what: "head server" | "storage server";
}

/** The rows of the optional id; the servers that are there when each test begins are asked for. */
export function testOptionalId(cluster: () => TestCluster, narrowed: NarrowedList): void {
  const { method, member, what } = narrowed;
  const list = async (params: XmlRpcStruct): Promise<XmlRpcStruct[]> =>
    (await cluster().raw(method, { ver: 5, ...params })) as XmlRpcStruct[]; // as its table says
  const serverIds = async (): Promise<number[]> =>
    what === "head server"
      ? (await cluster().api("listHeadServers", {})).map(({ hsvrid }) => hsvrid)
      : (await cluster().api("listStorageServers", {})).map(({ ssvrid }) => ssvrid);

  test(`${method} with ${member} lists what all of them together list, one by one`, async () => {
    const parts: XmlRpcValue[] = [];
    const all = await list({});
    for (const id of await serverIds()) {
      const part = await list({ [member]: id });
      expect(part).toEqual(all.filter((entry) => entry[member] === id));
      parts.push(...part);
    }
    expect(parts).toHaveLength(all.length);
  });

  test(`${method} answers ENOENT for a ${what} that is not there`, async () => {
    const nobody = [0, -1, 2_000_000, 0x7fff_ffff, 2 ** 40];
    await expectRefusals(
      cluster(),
      method,
      nobody.map((id) => [{ [member]: id }, "ENOENT", member] as const),
    );
  });

  test(`${method} takes ${member} in every form of a whole number, and nothing else`, async () => {
    const [value = 0] = await serverIds();
    const about = { method, member, value, others: () => ({}) };
    const expected = await list({ [member]: value });
    for (const answer of await expectNumberForms(cluster(), about)) expect(answer).toEqual(expected);
    await expectRefusals(cluster(), method, [
      [{ [member]: "" }, "EINVAL", member],
      [{ [member]: {} }, "EINVAL", member],
    ]);
  });

  test(`${method} ignores members that it does not know`, async () => {
    expect(await list({ lvolid: "x", pdskid: 4711, limit: {} })).toEqual(await list({}));
  });
}

/** Where a resync runs. */
export interface RunningResync {
  readonly hsvrid: number;
  readonly ssvrid: number;
  readonly pdskid: number;
}

/** A copy of an attached volume is replaced; while its resync runs, the work is done. Needs a third server, and the gate. */
export async function whileResyncRuns(
  cluster: TestCluster,
  work: (resync: RunningResync) => Promise<void>,
): Promise<void> {
  const { lvolid } = await createSmallAttached(cluster, "resynced");
  const [first] = await twoCopiesOf(cluster, lvolid);
  const hold = cluster.gate.hold({ method: "replaceMirrorDisk" });
  try {
    await cluster.api("notifyFailure", { target: 4, targetid: first.lvolid });
    await hold.next();
    const filled = (await copiesOf(cluster, lvolid)).find(
      (copy) => copy.mirror_status === MemberStatus.SPARE,
    );
    const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
    if (filled === undefined || volume === undefined) throw new Error("no copy is being filled");
    const { ssvrid, pdskid } = filled.lvolspec;
    await work({ hsvrid: volume.hsvrid, ssvrid, pdskid });
  } finally {
    await hold.release();
  }
  await cluster.api("detachLogicalVolume", { lvolid });
  await cluster.api("deleteLogicalVolume", { lvolid });
}
