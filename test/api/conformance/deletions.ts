import { beforeAll, expect, test } from "vitest";
import type { FailureTarget } from "../../../shared/states.js";
import { Priority } from "../../../shared/states.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../../shared/xmlrpc/value.js";
import type { TestCluster } from "../../harness/cluster.js";
import { editDatabase } from "../../harness/manager-database.js";
import { expectRefusals, expectRefused } from "./refusals.js";

/** What differs between the three methods that delete something. */
export interface Deletion {
  readonly method: "deletePhysicalDisk" | "deleteStorageServer" | "deleteHeadServer";
  readonly member: "pdskid" | "ssvrid" | "hsvrid";
  readonly target: FailureTarget;
  readonly table: "disk" | "storage_server" | "head_server";
  readonly what: "disk" | "storage server" | "head server";
  /** Registers one that has no agent. @returns its id */
  readonly make: () => Promise<number>;
  /** Of all that are listed. */
  readonly ids: () => Promise<number[]>;
}

/** The rows of the reference that all three share. */
export function testDeletion(cluster: () => TestCluster, deletion: Deletion): void {
  const { method, member, target, table, what, make, ids } = deletion;
  const params = (id: number): XmlRpcStruct => ({ [member]: id });
  const remove = (id: number): Promise<XmlRpcValue> => cluster().raw(method, { ver: 5, ...params(id) });
  const inState = new Map<Priority, number>();

  beforeAll(async () => {
    for (const priority of Object.values(Priority)) inState.set(priority, await make());
    await editDatabase(cluster(), (database) => {
      const update = database.prepare(`UPDATE ${table} SET priority = ? WHERE ${member} = ?`);
      for (const [priority, id] of inState) update.run(priority, id);
    });
  });

  test.each(["HIGH", "LOW", "EVACUATE", "HALT"] as const)(
    `${method} answers EBUSY while the ${what} is %s`,
    async (name) => {
      const id = inState.get(Priority[name]) ?? 0;
      await expectRefusals(cluster(), method, [[params(id), "EBUSY", `is ${name}, and`]]);
      expect(await ids()).toContain(id);
    },
  );

  test.each(["OFFLINE", "FAULTY"] as const)(
    `${method} answers 0 for a ${what} that is %s, and it is gone`,
    async (name) => {
      const id = inState.get(Priority[name]) ?? 0;
      const others = (await ids()).filter((listed) => listed !== id);
      expect(await remove(id)).toBe(0);
      expect(await ids()).toEqual(others);
      await expectRefused(cluster(), method, params(id), "ENOENT");
      await expectRefused(cluster(), "notifyFailure", { target, targetid: id }, "ENOENT");
    },
  );

  test(`${method} answers ENOENT for ids of none`, async () => {
    const nobody = [0, -1, -0x8000_0000, 2_000_000, 0x7fff_ffff, 2 ** 40];
    await expectRefusals(
      cluster(),
      method,
      nobody.map((id) => [params(id), "ENOENT", what] as const),
    );
  });

  test(`${method} answers EINVAL for what is no id`, async () => {
    const wrong = [undefined, "", "1", 1.5, true, [], [1], {}];
    await expectRefusals(
      cluster(),
      method,
      wrong.map((id) => [{ [member]: id }, "EINVAL", member] as const),
    );
  });

  test(`${method} frees no id: the next ${what} gets a new one, after a restart of the manager too`, async () => {
    const id = await makeFailed();
    expect(await remove(id)).toBe(0);
    const next = await makeFailed();
    expect(next).toBe(id + 1);
    expect(await remove(next)).toBe(0);
    await editDatabase(cluster(), () => undefined);
    expect(await make()).toBe(next + 1);
  });

  async function makeFailed(): Promise<number> {
    const targetid = await make();
    await cluster().api("notifyFailure", { target, targetid });
    return targetid;
  }
}
