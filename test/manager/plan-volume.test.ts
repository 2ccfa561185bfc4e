import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Candidate } from "../../manager/layout/candidates.js";
import { cutVolume } from "../../manager/layout/cut-volume.js";
import { type MirrorPlan, planVolume, type VolumeWish } from "../../manager/layout/plan-volume.js";
import { Priority } from "../../shared/states.js";
import { DiskModel, disk } from "./disk-model.js";

const sizes = [10, 1];

/** `count` servers with one disk each. */
const servers = (count: number, capacity: number, shape: Partial<Candidate> = {}): Candidate[] =>
  Array.from({ length: count }, (_, at) => disk({ pdskid: at + 1, ssvrid: at + 1, capacity, ...shape }));

describe("a volume is cut", () => {
  test("into the largest mirrors first", () => {
    const lengths = cutVolume(1003, [1, 10]);
    expect(lengths).toEqual([...Array.from({ length: 100 }, () => 10), 1, 1, 1]);
  });

  test("smaller where free space is in pieces", () => {
    const pieces = (pdskid: number) => [
      { offset: 0, length: 25 },
      ...Array.from({ length: 10 }, (_, at) => ({ offset: 30 + 10 * at, length: 1 + ((at + pdskid) % 3) })),
    ];
    const candidates = servers(3, 200).map((one) => ({ ...one, free: pieces(one.pdskid) }));
    const { mirrors } = planVolume({ capacity: 40, redundancy: 3, sizes, candidates });
    expect(mirrors.map((mirror) => mirror.length).slice(0, 3)).toEqual([10, 10, 1]);
    expect(mirrors).toHaveLength(22);
  });

  test("using up small runs first, so that large ones stay", () => {
    const free = [
      { offset: 0, length: 100 },
      { offset: 150, length: 2 },
    ];
    const { mirrors } = planVolume({
      capacity: 2,
      redundancy: 2,
      sizes,
      candidates: servers(2, 200, { free }),
    });
    expect(mirrors.flatMap((mirror) => mirror.members.map((member) => member.offset))).toEqual([
      150, 150, 151, 151,
    ]);
  });
});

describe("members of a mirror", () => {
  const anyDisk = fc.record({
    capacity: fc.integer({ min: 1, max: 60 }),
    ssvrid: fc.integer({ min: 1, max: 7 }),
    resyncs: fc.nat(2),
    priority: fc.constantFrom(Priority.HIGH, Priority.HIGH, Priority.HIGH, Priority.FAULTY),
    hole: fc.nat(59),
  });
  const anyWish: fc.Arbitrary<VolumeWish> = fc
    .record({
      capacity: fc.integer({ min: 1, max: 60 }),
      redundancy: fc.integer({ min: 2, max: 4 }),
      zones: fc.integer({ min: 1, max: 4 }),
      disks: fc.array(anyDisk, { minLength: 3, maxLength: 16 }),
    })
    .map(({ disks, zones, ...wish }) => ({
      ...wish,
      sizes: [10, 4, 1],
      candidates: disks.map(({ hole, ...shape }, at) =>
        disk({
          pdskid: at + 1,
          zone: `z${shape.ssvrid % zones}`,
          serverPriority: shape.ssvrid === 7 ? Priority.OFFLINE : Priority.HIGH,
          free: [
            { offset: 0, length: Math.min(hole, shape.capacity) },
            { offset: hole + 1, length: shape.capacity - hole - 1 },
          ].filter((run) => run.length > 0),
          ...shape,
        }),
      ),
    }));

  function expectGoodMirror(model: DiskModel, wish: VolumeWish, { length, members }: MirrorPlan): void {
    const usable = wish.candidates.filter(
      (one) => one.priority === Priority.HIGH && one.serverPriority === Priority.HIGH,
    );
    const diskOf = (pdskid: number) => usable.find((one) => one.pdskid === pdskid);
    const zonesWithRoom = new Set(
      usable.filter((one) => model.hasRun(one.pdskid, length)).map((one) => one.zone),
    );
    expect(members).toHaveLength(wish.redundancy);
    expect(new Set(members.map((member) => member.ssvrid)).size).toBe(wish.redundancy);
    expect(members.every((member) => diskOf(member.pdskid)?.ssvrid === member.ssvrid)).toBe(true);
    const zones = new Set(members.map((member) => diskOf(member.pdskid)?.zone));
    expect(zones.size).toBe(Math.min(wish.redundancy, zonesWithRoom.size));
    for (const member of members) model.take(member, length);
  }

  test("are on free space of usable disks, different servers, and as many zones as have room", () => {
    let planned = 0;
    const check = (wish: VolumeWish) => {
      let mirrors: readonly MirrorPlan[];
      try {
        mirrors = planVolume(wish).mirrors;
      } catch (error) {
        expect(error).toMatchObject({ errno: "ENOSPC" });
        return;
      }
      planned++;
      const model = new DiskModel(wish.candidates);
      let offset = 0;
      for (const mirror of mirrors) {
        expect(mirror.offset).toBe(offset);
        expectGoodMirror(model, wish, mirror);
        offset += mirror.length;
      }
      expect(offset).toBe(wish.capacity);
    };
    fc.assert(fc.property(anyWish, check), { numRuns: 500 });
    expect(planned).toBeGreaterThan(100);
  });

  test("are found whenever there is a way to place them", () => {
    const anyFree = fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 2, maxLength: 7 });
    const check = (free: number[], redundancy: number, capacity: number) => {
      const candidates = free.map((length, at) =>
        disk({ pdskid: at + 1, ssvrid: at + 1, capacity: 12, free: [{ offset: 0, length }] }),
      );
      // A server can hold one copy of each GB at most; that is the only limit when mirrors are of 1 GB.
      const copies = free.reduce((sum, room) => sum + Math.min(room, capacity), 0);
      const plan = () => planVolume({ capacity, redundancy, sizes: [1], candidates });
      if (copies >= redundancy * capacity) expect(plan().mirrors).toHaveLength(capacity);
      else expect(plan).toThrow(/ENOSPC/);
    };
    fc.assert(fc.property(anyFree, fc.integer({ min: 2, max: 4 }), fc.integer({ min: 1, max: 20 }), check), {
      numRuns: 500,
    });
  });

  test("are the same for the same input", () => {
    const wish = { capacity: 500, redundancy: 3, sizes, candidates: servers(9, 400) };
    expect(planVolume(wish)).toEqual(planVolume({ ...wish, candidates: wish.candidates.toReversed() }));
  });

  test("keep away from disks with running resyncs, other things being equal", () => {
    const candidates = servers(6, 1000).map((one) => ({ ...one, resyncs: one.pdskid <= 3 ? 1 : 0 }));
    const { mirrors } = planVolume({ capacity: 1, redundancy: 3, sizes, candidates });
    expect(mirrors[0]?.members.map((member) => member.ssvrid).toSorted()).toEqual([4, 5, 6]);
  });

  test("have changing partners, so that all servers share the rebuild of one", () => {
    const count = 12;
    const { mirrors } = planVolume({
      capacity: 20_000,
      redundancy: 3,
      sizes,
      candidates: servers(count, 10_000),
    });
    const together = new Map<string, number>();
    for (const { members } of mirrors) {
      const [a = 0, b = 0, c = 0] = members.map((member) => member.ssvrid).toSorted((x, y) => x - y);
      for (const pair of [`${a},${b}`, `${a},${c}`, `${b},${c}`])
        together.set(pair, (together.get(pair) ?? 0) + 1);
    }
    expect(together.size).toBe((count * (count - 1)) / 2);
    // 6,000 pairs over 66: 91 on average.
    expect(Math.min(...together.values())).toBeGreaterThan(45);
  });
});

describe("servers and disks are used in proportion to their size, within 5 %", () => {
  /** A generator of numbers from 0 to 1 (mulberry32), so that a failure can be repeated. */
  function seeded(seed: number): () => number {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), state | 1);
      mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
    };
  }

  /** Servers of 1 to 4 disks of 1 to 4 TB, in as many zones. */
  function cluster(count: number, zones: number): Candidate[] {
    const disks: Candidate[] = [];
    for (let ssvrid = 1; ssvrid <= count; ssvrid++) {
      for (let at = 0; at <= ssvrid % 4; at++) {
        const capacity = 1000 * (1 + ((ssvrid + at) % 4));
        disks.push(disk({ pdskid: disks.length + 1, ssvrid, zone: `z${ssvrid % zones}`, capacity }));
      }
    }
    return disks;
  }

  function expectProportional(model: DiskModel): void {
    const total = model.disks.reduce((sum, one) => sum + one.capacity, 0);
    const used = model.disks.reduce((sum, one) => sum + model.used(one.pdskid), 0);
    const share = (disks: readonly Candidate[]): number =>
      disks.reduce((sum, one) => sum + model.used(one.pdskid), 0) /
      disks.reduce((sum, one) => sum + one.capacity, 0) /
      (used / total);
    for (const ssvrid of new Set(model.disks.map((one) => one.ssvrid))) {
      const disks = model.disks.filter((one) => one.ssvrid === ssvrid);
      expect(Math.abs(share(disks) - 1), `server ${ssvrid}`).toBeLessThan(0.05);
      for (const one of disks) expect(Math.abs(share([one]) - 1), `disk ${one.pdskid}`).toBeLessThan(0.05);
    }
  }

  test.each([
    { count: 12, zones: 1, redundancy: 3, seed: 1 },
    { count: 12, zones: 1, redundancy: 2, seed: 2 },
    { count: 16, zones: 4, redundancy: 2, seed: 3 },
  ])("$count servers in $zones zones, $redundancy copies", ({ count, zones, redundancy, seed }) => {
    const random = seeded(seed);
    const model = new DiskModel(cluster(count, zones));
    const total = model.disks.reduce((sum, one) => sum + one.capacity, 0);
    const volumes: (readonly MirrorPlan[])[] = [];
    let stored = 0;
    for (let round = 0; round < 2_000; round++) {
      if (stored > 0.6 * total || (volumes.length > 0 && random() < 0.35)) {
        const [deleted = []] = volumes.splice(Math.floor(random() * volumes.length), 1);
        for (const { length, members } of deleted) {
          for (const member of members) model.giveBack(member, length);
          stored -= length * members.length;
        }
      } else {
        const capacity = 1 + Math.floor(random() ** 3 * 600);
        const { mirrors } = planVolume({ capacity, redundancy, sizes, candidates: model.candidates() });
        for (const { length, members } of mirrors) for (const member of members) model.take(member, length);
        volumes.push(mirrors);
        stored += capacity * redundancy;
      }
    }
    expect(stored).toBeGreaterThan(0.4 * total);
    expectProportional(model);
  });
});

describe("too little room is explained", () => {
  const sentence = (wish: Omit<VolumeWish, "sizes">): string => {
    try {
      planVolume({ ...wish, sizes });
    } catch (error) {
      expect(error).toMatchObject({ errno: "ENOSPC" });
      return (error as { sentence: string }).sentence;
    }
    return "";
  };

  test("when there are too few servers with room", () => {
    const candidates = [
      ...servers(2, 100),
      disk({ pdskid: 3, ssvrid: 3, capacity: 100, free: [] }),
      disk({ pdskid: 4, ssvrid: 4, capacity: 100, serverPriority: Priority.OFFLINE }),
      disk({ pdskid: 5, ssvrid: 5, capacity: 100, priority: Priority.FAULTY }),
    ];
    expect(sentence({ capacity: 10, redundancy: 3, candidates })).toBe(
      "3 copies of 10 GB need 3 storage servers with room, 2 have it (has room: ssvr-00000001, ssvr-00000002; " +
        "no free run of 1 GB: ssvr-00000003; disks FAULTY: ssvr-00000005; server OFFLINE: ssvr-00000004)",
    );
  });

  test("when there is less free space than it takes", () => {
    expect(sentence({ capacity: 1000, redundancy: 3, candidates: servers(4, 600) })).toMatch(
      /^3 copies of 1000 GB need 3000 GB, 2400 GB are free \(has room: ssvr-00000001, .*ssvr-00000004\)$/,
    );
  });

  test("when one server is too small for its part", () => {
    const candidates = [...servers(2, 100), disk({ pdskid: 3, ssvrid: 3, capacity: 15 })];
    expect(sentence({ capacity: 20, redundancy: 3, candidates })).toMatch(
      /^3 copies of 20 GB need 3 storage servers with room, 2 have it once 15 GB are placed \(has room: .*; no free run of 1 GB: ssvr-00000003\)$/,
    );
  });

  test("when there are no disks at all", () => {
    expect(sentence({ capacity: 1, redundancy: 2, candidates: [] })).toBe(
      "2 copies of 1 GB need 2 storage servers with room, 0 have it (no disk is registered)",
    );
  });

  test("in bounded length, however many servers there are", () => {
    const candidates = servers(5_000, 10, { free: [] });
    const text = sentence({ capacity: 1, redundancy: 2, candidates });
    expect(text).toContain("ssvr-00000004 and 4996 more");
    expect(text.length).toBeLessThan(300);
  });
});
