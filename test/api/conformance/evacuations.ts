import { expect, test } from "vitest";
import { Priority } from "../../../shared/states.js";
import type { TestCluster } from "../../harness/cluster.js";
import { expectRefusals, expectRefused } from "./refusals.js";

/** What differs between the two methods. */
export interface EvacuationMethod {
  readonly method: "evacuatePhysicalDisk" | "evacuateStorageServer";
  readonly member: "pdskid" | "ssvrid";
  readonly what: "disk" | "storage server";
  readonly remove: "deletePhysicalDisk" | "deleteStorageServer";
  /** Registers one that has no agent, with space that waits for its shred. @returns its id */
  readonly make: () => Promise<number>;
  readonly priorityOf: (id: number) => Promise<number | undefined>;
}

/** The rows of the reference that both share. */
export function testEvacuation(cluster: () => TestCluster, evacuation: EvacuationMethod): void {
  const { method, member, what, remove, make, priorityOf } = evacuation;
  const call = (id: number, more: { cancel?: boolean } = {}) =>
    cluster().raw(method, { ver: 5, [member]: id, ...more });
  const eventsOf = async (id: number): Promise<number> =>
    (await cluster().api("listEvents", {})).filter(
      ({ targetid, sentence }) => targetid === id && sentence.includes("evacuat"),
    ).length;

  test(`${method} makes a ${what} EVACUATE, once however often it is called, and with cancel HIGH again`, async () => {
    const id = await make();
    for (const cancel of [undefined, false]) {
      expect(await call(id, cancel === undefined ? {} : { cancel })).toBe(0);
      expect(await priorityOf(id)).toBe(Priority.EVACUATE);
    }
    expect(await eventsOf(id)).toBe(1);
    const { notices } = await cluster().status();
    expect(notices).toContainEqual(
      expect.stringMatching(new RegExp(`^${what} .* is being evacuated: .* left`)),
    );
    await expectRefused(cluster(), remove, { [member]: id }, "EBUSY");
    for (let time = 0; time < 2; time += 1) {
      expect(await call(id, { cancel: true })).toBe(0);
      expect(await priorityOf(id)).toBe(Priority.HIGH);
    }
    expect(await eventsOf(id)).toBe(2);
  });

  test(`${method} answers ENOENT for ids of none, and EINVAL for what is no id or no boolean`, async () => {
    const nobody = [0, -1, 2_000_000, 0x7fff_ffff];
    await expectRefusals(
      cluster(),
      method,
      nobody.map((id) => [{ [member]: id }, "ENOENT", what] as const),
    );
    const wrong = [undefined, "1", 1.5, true, []];
    await expectRefusals(
      cluster(),
      method,
      wrong.map((id) => [{ [member]: id }, "EINVAL", member] as const),
    );
    await expectRefused(cluster(), method, { [member]: 1, cancel: 1 }, "EINVAL");
  });
}
