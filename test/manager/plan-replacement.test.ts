import { expect, test } from "vitest";
import { planReplacement } from "../../manager/layout/plan-replacement.js";
import { Priority } from "../../shared/states.js";
import { disk } from "./disk-model.js";

const inZones = (...zones: string[]) =>
  zones.map((zone, at) => disk({ pdskid: at + 1, ssvrid: at + 1, zone, capacity: 100 }));

const none: ReadonlySet<number> = new Set();

test("a replacement goes to a server that has no member of the mirror, even a fuller one", () => {
  const candidates = inZones("", "", "").map((one) =>
    one.ssvrid === 2 ? { ...one, free: [{ offset: 90, length: 10 }] } : one,
  );
  const members = [
    { ssvrid: 1, zone: "" },
    { ssvrid: 3, zone: "" },
  ];
  const place = planReplacement({ length: 10, members, disks: none, candidates });
  expect(place).toEqual({ pdskid: 2, ssvrid: 2, offset: 90 });
});

test("a replacement goes to a zone that has no member, even a fuller one", () => {
  const candidates = inZones("a", "a", "b");
  const fuller = candidates.map((one) =>
    one.zone === "b" ? { ...one, free: [{ offset: 90, length: 10 }] } : one,
  );
  const members = [{ ssvrid: 1, zone: "a" }];
  expect(planReplacement({ length: 10, members, disks: none, candidates: fuller })).toEqual({
    pdskid: 3,
    ssvrid: 3,
    offset: 90,
  });
});

test("a replacement shares a zone when no other has room", () => {
  const candidates = inZones("a", "a", "b").map((one) => (one.zone === "b" ? { ...one, free: [] } : one));
  const members = [{ ssvrid: 1, zone: "a" }];
  expect(planReplacement({ length: 10, members, disks: none, candidates }).ssvrid).toBe(2);
});

test("a replacement is one run, however much there is in pieces, and says what it lacks", () => {
  const pieces = Array.from({ length: 50 }, (_, at) => ({ offset: 2 * at, length: 1 }));
  const candidates = [
    disk({ pdskid: 1, ssvrid: 1, capacity: 100 }),
    disk({ pdskid: 2, ssvrid: 2, capacity: 100, free: pieces }),
    disk({ pdskid: 3, ssvrid: 3, capacity: 100, serverPriority: Priority.EVACUATE }),
  ];
  const plan = () =>
    planReplacement({ length: 10, members: [{ ssvrid: 1, zone: "" }], disks: none, candidates });
  expect(plan).toThrow(
    "ENOSPC: one more copy of 10 GB needs 1 more storage server with room, 0 have it (no free run of 10 GB: " +
      "ssvr-00000002; has a member already: ssvr-00000001; server EVACUATE: ssvr-00000003)",
  );
});

test("a disk that holds a copy that is out of use is named as what stands against a replacement", () => {
  const members = [{ ssvrid: 1, zone: "" }];
  const plan = () =>
    planReplacement({ length: 10, members, disks: new Set([1, 2]), candidates: inZones("", "") });
  expect(plan).toThrow(
    "(disks hold a copy that is out of use: ssvr-00000002; has a member already: ssvr-00000001)",
  );
});
