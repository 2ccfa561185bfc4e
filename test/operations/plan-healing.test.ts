import fc from "fast-check";
import { expect, test } from "vitest";
import { surplusMembers } from "../../manager/domain/evacuation-rules.js";
import { type HealingMember, type HealingMirror, planHealing } from "../../manager/domain/heal-mirror.js";
import { MemberStatus } from "../../shared/states.js";

const statuses = [MemberStatus.INSYNC, MemberStatus.SPARE, MemberStatus.FAULTY] as const;

const members = fc
  .array(
    fc.record({
      status: fc.constantFrom(...statuses),
      reachable: fc.boolean(),
      readable: fc.boolean(),
      lost: fc.constantFrom("no", "silent", "away", "failed", "gone"),
      resyncing: fc.boolean(),
      evacuating: fc.boolean(),
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
  const attached = mirrors.map((mirror) => ({ ...mirror, bound: true }));
  fc.assert(
    fc.property(attached, (mirror) => void expect(planHealing(mirror).drop).toEqual([])),
    { numRuns: 1_000 },
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

test("what makes room is out of use, and goes only beside a sound copy", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      const { inTheWay } = planHealing(mirror);
      expect(inTheWay.length).toBeLessThanOrEqual(1);
      const given = mirror.members.filter(({ dextid }) => inTheWay.includes(dextid));
      for (const { status, lost } of given)
        expect(status === MemberStatus.FAULTY || (status === MemberStatus.SPARE && lost === "failed")).toBe(
          true,
        );
      const isSound = ({ status, lost, reachable }: HealingMember): boolean =>
        status === MemberStatus.INSYNC && lost === "no" && reachable;
      if (given.length > 0) expect(mirror.members.some(isSound)).toBe(true);
    }),
    { numRuns: 1_000 },
  );
});

test("nothing is copied where there is nothing to copy from", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      if (withStatus(mirror, MemberStatus.INSYNC).length === 0) expect(planHealing(mirror).place).toBe(0);
    }),
  );
});

test("what is dropped leaves a copy of which nobody declared anything, or nothing is dropped", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      const { drop } = planHealing(mirror);
      if (drop.length === 0) return;
      const left = mirror.members.filter(
        ({ dextid, status }) => status === MemberStatus.INSYNC && !drop.includes(dextid),
      );
      expect(left.map(({ lost }) => lost)).toContain("no");
    }),
  );
});

test("a head is told to do without each lost copy while there is a sound one, by a resync to come or by one of its own", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      const insync = mirror.members.filter(({ status }) => status === MemberStatus.INSYNC);
      const sound = insync.filter(({ lost, reachable }) => lost === "no" && reachable);
      const surplus = surplusMembers(sound, mirror.redundancy);
      const leaving = [...insync.filter(({ lost }) => lost !== "no" && lost !== "silent"), ...surplus];
      const staying = sound.filter((member) => !surplus.includes(member));
      const { resync } = planHealing(mirror);
      const letGo = insync.filter(({ dextid }) => resync.includes(dextid));
      const toCome = mirror.members.filter(
        ({ dextid, status, resyncing }) =>
          status === MemberStatus.SPARE && !resyncing && resync.includes(dextid),
      );
      const isDue = mirror.bound && sound.length > 0 && toCome.length < leaving.length;
      expect(letGo).toEqual(isDue ? staying.slice(0, 1) : []);
    }),
  );
});

test("a sound copy is taken from a mirror only if as many others as it should have stay, none of them to be evacuated", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      const { drop } = planHealing(mirror);
      const isSound = ({ status, lost, reachable }: HealingMember): boolean =>
        status === MemberStatus.INSYNC && lost === "no" && reachable;
      const sound = mirror.members.filter(isSound);
      if (!sound.some(({ dextid }) => drop.includes(dextid))) return;
      const staying = sound.filter(({ dextid }) => !drop.includes(dextid));
      expect(staying.length).toBeGreaterThanOrEqual(mirror.redundancy);
      expect(staying.some(({ evacuating }) => evacuating)).toBe(false);
    }),
  );
});

test("what is on its way is given up only while enough others are good or on their way, beside what is to be evacuated", () => {
  fc.assert(
    fc.property(mirrors, (mirror) => {
      const { giveUpIfPlaced, missing } = planHealing(mirror);
      const spare = mirror.members.filter(
        ({ dextid, lost, evacuating }) => giveUpIfPlaced.includes(dextid) && lost === "no" && !evacuating,
      );
      if (spare.length === 0) return;
      expect(missing).toBe(0);
      const left = mirror.members.filter(
        ({ dextid, status, lost, evacuating }) =>
          status !== MemberStatus.FAULTY && lost === "no" && !evacuating && !giveUpIfPlaced.includes(dextid),
      );
      expect(left.length).toBeGreaterThanOrEqual(mirror.redundancy);
    }),
  );
});
