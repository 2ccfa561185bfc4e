import fc from "fast-check";
import { expect, test } from "vitest";
import { type HealingMember, type HealingMirror, planHealing } from "../../manager/domain/heal-mirror.js";
import { MemberStatus } from "../../shared/states.js";

const statuses = [MemberStatus.INSYNC, MemberStatus.SPARE, MemberStatus.FAULTY] as const;

const members = fc
  .array(
    fc.record({
      status: fc.constantFrom(...statuses),
      reachable: fc.boolean(),
      lost: fc.constantFrom("no", "away", "gone"),
    }),
    { minLength: 1, maxLength: 5 },
  )
  .map((list) =>
    list.map((member, index): HealingMember => ({ ...member, dextid: index + 1, ssvrid: index + 1 })),
  );

const mirrors = fc.record({
  redundancy: fc.integer({ min: 2, max: 4 }),
  bound: fc.boolean(),
  untouched: fc.constant(false),
  members,
});

const withStatus = (mirror: HealingMirror, status: MemberStatus): number[] =>
  mirror.members.filter((member) => member.status === status).map((member) => member.dextid);

test("the last good copy is never taken, whatever became of its disk", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      const good = withStatus(mirror, MemberStatus.INSYNC);
      const plan = planHealing(mirror);
      const taken = new Set([
        ...plan.drop,
        ...plan.release,
        ...plan.giveUp,
        ...plan.giveUpIfPlaced,
        ...plan.forget,
      ]);
      if (good.length > 0) expect(good.some((dextid) => !taken.has(dextid))).toBe(true);
    }),
  );
});

test("an attached volume's good copies are its head's to drop", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => void expect(mirror.bound ? planHealing(mirror).drop : []).toEqual([])),
  );
});

test("extents are kept until the mirror has all its copies again", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      const { release } = planHealing(mirror);
      if (release.length === 0) return;
      const staying = mirror.members.filter(
        (member) => member.status === MemberStatus.INSYNC && member.lost === "no",
      );
      expect(staying.length).toBeGreaterThanOrEqual(mirror.redundancy);
      expect(release.some((dextid) => withStatus(mirror, MemberStatus.INSYNC).includes(dextid))).toBe(false);
    }),
  );
});

test("nothing is copied where there is nothing to copy from", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      if (withStatus(mirror, MemberStatus.INSYNC).length === 0) expect(planHealing(mirror).place).toBe(0);
    }),
  );
});
