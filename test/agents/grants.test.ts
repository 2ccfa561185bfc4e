import fc from "fast-check";
import { expect, test } from "vitest";
import { AccessFiles } from "../../agents/storage/access-files.js";
import type { GrantRequest } from "../../agents/storage/grant-rules.js";
import { Grants } from "../../agents/storage/grants.js";
import { VasError } from "../../shared/errors.js";
import { EXTENT_UNIT_BYTES } from "../../shared/units.js";
import { tempFolder } from "./temp-folder.js";

const DISK = 1;
const SIZE = 100;

function extent(dextid: number, offset: number, generation = 1, capacity = 10, pdskid = DISK) {
  return { dextid, pdskid, offset, capacity, generation };
}

function request(change: Partial<GrantRequest> = {}): GrantRequest {
  return { lvolid: 1, epoch: 5, hsvrid: 1, version: 3, extents: [extent(10, 0)], ...change };
}

async function load(folder: string, enforced: number[] = []): Promise<Grants> {
  const grants = await Grants.load(
    await AccessFiles.open(folder),
    async (pdskid) => void enforced.push(pdskid),
  );
  await grants.addDisk(DISK, SIZE);
  await grants.addDisk(DISK + 1, SIZE);
  return grants;
}

/** What a disk's export enforces, in extent units, as one line for each volume. */
function shown(grants: Grants, pdskid = DISK): string[] {
  return grants.documentFor(pdskid).grants.map(({ lvolid, epoch, extents }) => {
    const places = extents.map(({ start, end }) => `${start / EXTENT_UNIT_BYTES}-${end / EXTENT_UNIT_BYTES}`);
    return `${lvolid}/${epoch}: ${places.join(" ")}`;
  });
}

const refusal = (errno: string) => expect.objectContaining({ errno });

test("a grant is enforced on its disks, and survives a restart", async () => {
  const folder = tempFolder();
  const enforced: number[] = [];
  const grants = await load(folder, enforced);
  await grants.grant(request({ extents: [extent(10, 0), extent(11, 20, 1, 10, DISK + 1)] }));
  expect(enforced.sort()).toEqual([DISK, DISK + 1]);
  for (const now of [grants, await load(folder)]) {
    expect(shown(now)).toEqual(["1/5: 0-10"]);
    expect(shown(now, DISK + 1)).toEqual(["1/5: 20-30"]);
  }
});

test("a revoked epoch, and all before it, is refused for ever, also after a restart", async () => {
  const folder = tempFolder();
  const grants = await load(folder);
  await grants.grant(request());
  await grants.revoke(1, 5);
  expect(shown(grants)).toEqual([]);
  for (const now of [grants, await load(folder)]) {
    for (const epoch of [5, 4, 0])
      await expect(now.grant(request({ epoch }))).rejects.toEqual(refusal("ESTALE"));
  }
  await grants.grant(request({ epoch: 6 }));
  expect(shown(grants)).toEqual(["1/6: 0-10"]);
  await grants.revoke(1, 5);
  expect(shown(grants)).toEqual(["1/6: 0-10"]);
});

test("an epoch that was never granted can be closed", async () => {
  const grants = await load(tempFolder());
  await grants.revoke(1, 7);
  await expect(grants.grant(request({ epoch: 7 }))).rejects.toEqual(refusal("ESTALE"));
});

test("a higher epoch closes the lower ones", async () => {
  const grants = await load(tempFolder());
  await grants.grant(request());
  await grants.grant(request({ epoch: 8, version: 0 }));
  expect(shown(grants)).toEqual(["1/8: 0-10"]);
  expect(grants.documentFor(DISK).revoked).toEqual([{ lvolid: 1, epoch: 7 }]);
  await expect(grants.grant(request({ version: 99 }))).rejects.toEqual(refusal("ESTALE"));
});

test("of one epoch a lower version is stale, the same must be the same set, a higher replaces", async () => {
  const grants = await load(tempFolder());
  const two = [extent(10, 0), extent(11, 10)];
  await grants.grant(request({ extents: two }));
  await grants.grant(request({ extents: [...two].reverse() }));
  await expect(grants.grant(request({ version: 2, extents: two }))).rejects.toEqual(refusal("ESTALE"));
  await expect(grants.grant(request({ extents: [extent(10, 0)] }))).rejects.toEqual(refusal("EINVAL"));
  await grants.grant(request({ version: 4, extents: [extent(11, 10)] }));
  expect(shown(grants)).toEqual(["1/5: 10-20"]);
});

test("places that are not there, overlap or are of a past generation are refused and change nothing", async () => {
  const grants = await load(tempFolder());
  await grants.grant(request({ extents: [extent(10, 0, 7)] }));
  const before = grants.documentFor(DISK);
  const other = { lvolid: 2 };
  const wrong: readonly (readonly [string, GrantRequest])[] = [
    ["ENOENT", request({ ...other, extents: [extent(20, 0, 1, 10, 99)] })],
    ["EINVAL", request({ ...other, extents: [extent(20, SIZE - 5)] })],
    ["EINVAL", request({ ...other, extents: [extent(20, 9, 9)] })],
    ["EINVAL", request({ ...other, extents: [extent(20, 20), extent(21, 29)] })],
    ["ESTALE", request({ version: 4, extents: [extent(10, 0, 6)] })],
  ];
  for (const [errno, grant] of wrong) await expect(grants.grant(grant)).rejects.toEqual(refusal(errno));
  expect(grants.documentFor(DISK)).toEqual(before);
  await grants.revoke(1, 5);
  await expect(grants.grant(request({ ...other, extents: [extent(20, 9, 6)] }))).rejects.toEqual(
    refusal("ESTALE"),
  );
  await grants.grant(request({ ...other, extents: [extent(20, 9, 8)] }));
});

test("what could not be enforced is enforced when it is asked again", async () => {
  let isStuck = false;
  const enforced: number[] = [];
  const grants = await Grants.load(await AccessFiles.open(tempFolder()), async (pdskid) => {
    if (isStuck) throw new VasError("EAGAIN", "stuck");
    enforced.push(pdskid);
  });
  await grants.addDisk(DISK, SIZE);
  await grants.grant(request());
  isStuck = true;
  await expect(grants.revoke(1, 5)).rejects.toEqual(refusal("EAGAIN"));
  await expect(grants.revoke(1, 5)).rejects.toEqual(refusal("EAGAIN"));
  isStuck = false;
  await grants.revoke(1, 5);
  expect(enforced).toEqual([DISK, DISK]);
});

test("grants of many volumes at once are all there", async () => {
  const folder = tempFolder();
  const grants = await load(folder);
  const calls = Array.from({ length: 20 }, (_, n) =>
    request({ lvolid: n + 1, extents: [extent(100 + n, n, 1, 1)] }),
  );
  await Promise.all(calls.map((call) => grants.grant(call)));
  expect(shown(grants)).toHaveLength(20);
  expect(shown(await load(folder))).toHaveLength(20);
});

/** Messages of two volumes over a small disk, so that they come late, twice, out of order and in each other's way. */
const message = fc.oneof(
  fc.record({
    kind: fc.constant("grant" as const),
    lvolid: fc.integer({ min: 1, max: 2 }),
    epoch: fc.nat(4),
    version: fc.nat(3),
    offset: fc.nat(3),
    generation: fc.nat(4),
  }),
  fc.record({
    kind: fc.constant("revoke" as const),
    lvolid: fc.integer({ min: 1, max: 2 }),
    epoch: fc.nat(4),
  }),
  fc.record({ kind: fc.constant("shred" as const), offset: fc.nat(3), generation: fc.nat(4) }),
  fc.record({ kind: fc.constant("restart" as const) }),
);

test("no sequence of messages lets a past epoch, version or generation back in, or two volumes at one place", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(message, { minLength: 1, maxLength: 25 }), async (messages) => {
      const folder = tempFolder();
      let grants = await load(folder);
      const closed = new Map<number, number>();
      const versions = new Map<string, number>();
      const newest = new Map<number, number>();
      for (const next of messages) {
        try {
          if (next.kind === "restart") grants = await load(folder);
          if (next.kind === "revoke") {
            await grants.revoke(next.lvolid, next.epoch);
            closed.set(next.lvolid, Math.max(closed.get(next.lvolid) ?? -1, next.epoch));
          }
          if (next.kind === "shred") {
            const target = { pdskid: DISK, offset: next.offset, capacity: 1, generation: next.generation };
            if (await grants.beginShred(target)) await grants.endShred(target, true);
            expect(shown(grants).join()).not.toContain(` ${next.offset}-`);
            expect(next.generation).toBeGreaterThanOrEqual(newest.get(next.offset) ?? 0);
            newest.set(next.offset, next.generation);
          }
          if (next.kind === "grant") {
            const { lvolid, epoch, version, offset, generation } = next;
            await grants.grant({
              lvolid,
              epoch,
              hsvrid: 1,
              version,
              extents: [extent(offset + 1, offset, generation, 1)],
            });
            const key = `${lvolid}/${epoch}`;
            expect(epoch).toBeGreaterThan(closed.get(lvolid) ?? -1);
            expect(version).toBeGreaterThanOrEqual(versions.get(key) ?? 0);
            expect(generation).toBeGreaterThanOrEqual(newest.get(offset) ?? 0);
            closed.set(lvolid, Math.max(closed.get(lvolid) ?? -1, epoch - 1));
            versions.set(key, version);
            newest.set(offset, generation);
          }
        } catch (error) {
          if (!(error instanceof VasError)) throw error;
        }
        const { grants: held } = grants.documentFor(DISK);
        for (const { lvolid, epoch } of held) expect(epoch).toBeGreaterThan(closed.get(lvolid) ?? -1);
        const places = held.flatMap(({ extents }) => extents.map(({ start }) => start));
        expect(new Set(places).size).toBe(places.length);
      }
    }),
    { numRuns: 60 },
  );
});

test("after a restart a repeated grant or revoke is enforced on its disks again before it is answered", async () => {
  const folder = tempFolder();
  const grants = await load(folder);
  await grants.grant(request({ extents: [extent(10, 0), extent(11, 0, 1, 10, DISK + 1)] }));
  // The second disk was taken out by a version that may not have been enforced.
  await grants.grant(request({ version: 4 }));
  const again: number[] = [];
  const second = await load(folder, again);
  await second.grant(request({ version: 4 }));
  expect(again.sort()).toEqual([DISK, DISK + 1]);
  await second.grant(request({ version: 4 }));
  expect(again).toHaveLength(2);
  await second.revoke(1, 5);
  const third: number[] = [];
  await (await load(folder, third)).revoke(1, 5);
  expect(third).toEqual([DISK]);
});

test("a revoke that was not enforced is not answered after a restart before it is", async () => {
  const folder = tempFolder();
  await (await load(folder)).grant(request());
  let isStuck = true;
  const open = async () => {
    const grants = await Grants.load(await AccessFiles.open(folder), async () => {
      if (isStuck) throw new VasError("EAGAIN", "stuck");
    });
    await grants.addDisk(DISK, SIZE);
    return grants;
  };
  await expect((await open()).revoke(1, 5)).rejects.toEqual(refusal("EAGAIN"));
  const after = await open();
  await expect(after.revoke(1, 5)).rejects.toEqual(refusal("EAGAIN"));
  isStuck = false;
  await after.revoke(1, 5);
});
