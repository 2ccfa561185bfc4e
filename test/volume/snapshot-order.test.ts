import fc from "fast-check";
import { expect, test } from "vitest";
import type { ManagerPort } from "../../agents/head/manager-port.js";
import { Snapshot } from "../../agents/head/nbd/snapshot.js";
import { SnapshotOrigin } from "../../agents/head/nbd/snapshot-origin.js";
import { SnapshotSpace } from "../../agents/head/nbd/snapshot-space.js";
import type { ParsedSnapshot } from "../../shared/layout-tree.js";
import { createLog } from "../../shared/log.js";
import { MIB } from "../../shared/units.js";
import { seed } from "../harness/random-data.js";
import { HeldLinear } from "./held-linear.js";

const CHUNK = 16 * 1024;
const CHUNKS = 4;
const BYTES = CHUNKS * CHUNK;
const IDS = [71, 72];

const place = { at: fc.nat(BYTES - 1), length: fc.integer({ min: 1, max: 2 * CHUNK }) };
const action = fc.oneof(
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("write", "trim"), ...place }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("read"), ...place }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant("take"), at: fc.constant(0), length: fc.constant(0) }),
  },
  { weight: 20, arbitrary: fc.record({ kind: fc.constant("step"), at: fc.nat(1000), length: fc.nat(1000) }) },
);

/** A snapshot under test, with what it has to hold. */
interface Taken {
  readonly snapshot: Snapshot;
  readonly space: HeldLinear;
  /** The content of the volume at its instant. */
  held: Buffer | undefined;
}

function spaceOf(lvolid: number, linear: HeldLinear): SnapshotSpace {
  return new SnapshotSpace({ lvolid, linear: linear.asLinear, mirrors: [], originBytes: BYTES });
}

function build(lvolid: number, origin: HeldLinear): Taken {
  const space = new HeldLinear(Buffer.alloc(MIB + BYTES));
  const snapshot = new Snapshot({
    node: { lvolid, lvolspec: { lvolname: `${lvolid}` } } as unknown as ParsedSnapshot,
    space: spaceOf(lvolid, space),
    origin: origin.asLinear,
    manager: { isAsking: false } as ManagerPort,
    timeoutMs: 1_000_000,
    log: createLog("test", "json", "silent"),
    onRecorded: () => undefined,
  });
  const taken: Taken = { snapshot, space, held: undefined };
  const activate = snapshot.activate.bind(snapshot);
  snapshot.activate = () => {
    expect(origin.writes).toBe(0);
    taken.held = Buffer.from(origin.content);
    activate();
  };
  return taken;
}

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** Lets everything that is held get on, the first first. */
async function finish<T>(linears: readonly HeldLinear[], work: Promise<T>): Promise<T> {
  let isOver = false;
  const over = work.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    for (const linear of linears) linear.step(0);
    await turn();
  }
  return over;
}

/** What a snapshot would hold if the process ended now and another one opened it. */
async function afterCrash({ snapshot, space }: Taken, origin: HeldLinear): Promise<Buffer> {
  const image = new HeldLinear(Buffer.from(space.content));
  const found = spaceOf(snapshot.lvolid, image);
  await finish([image], found.open());
  const content = Buffer.from(origin.content);
  for (let chunk = 0; chunk < CHUNKS; chunk += 1) {
    if (!found.kept.has(chunk)) continue;
    const from = found.geometry.dataStart + chunk * CHUNK;
    image.content.copy(content, chunk * CHUNK, from, from + CHUNK);
  }
  return content;
}

test("in whatever order the disks answer, a snapshot reads as its instant, and would after a crash at any point", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 40, maxLength: 160 }), async (actions) => {
      const origin = new HeldLinear(Buffer.alloc(BYTES, 0xff));
      const layer = new SnapshotOrigin(origin.asLinear);
      const all = IDS.map((lvolid) => build(lvolid, origin));
      for (const { snapshot, space } of all)
        await finish(
          [space],
          snapshot.prepare((own) => own.create()),
        );
      const untaken = [...all];
      const wrong: string[] = [];
      let answered = 0;
      let given = 0;
      for (const { kind, at, length } of actions) {
        const bytes = Math.min(length, BYTES - at);
        if (kind === "write" || kind === "trim") {
          given += 1;
          const payload = kind === "write" ? [Buffer.alloc(bytes, 1 + (given % 250))] : [];
          layer.write({ command: kind, offset: at, length: bytes, fua: false, payload }, () => {
            answered += 1;
          });
        } else if (kind === "read") {
          for (const { snapshot, held } of all) {
            if (held === undefined) continue;
            snapshot.read(at, bytes, (errno, data = []) => {
              const isRight = errno === 0 && Buffer.concat(data).equals(held.subarray(at, at + bytes));
              if (!isRight) wrong.push(`a read of ${bytes} bytes at ${at}`);
            });
          }
        } else if (kind === "take") {
          const next = untaken.shift();
          if (next !== undefined) void layer.take(next.snapshot, 1_000_000);
        } else {
          const linears = [origin, ...all.map(({ space }) => space)];
          linears[at % linears.length]?.step(length);
        }
        await turn();
        expect(wrong).toEqual([]);
      }
      for (const taken of all) {
        if (taken.held === undefined) continue;
        expect((await afterCrash(taken, origin)).equals(taken.held)).toBe(true);
      }
      const linears = [origin, ...all.map(({ space }) => space)];
      while (linears.some(({ held }) => held.length > 0)) {
        for (const linear of linears) linear.step(0);
        await turn();
      }
      expect(answered).toBe(given);
      expect(wrong).toEqual([]);
      for (const { snapshot } of all) await snapshot.drop();
    }),
    { seed, numRuns: 150, endOnFailure: true },
  );
});

test("before the volume changes anywhere, a crash leaves each snapshot what it held", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(action, { minLength: 40, maxLength: 120 }), async (actions) => {
      const origin = new HeldLinear(Buffer.alloc(BYTES, 0xff));
      const layer = new SnapshotOrigin(origin.asLinear);
      const [taken] = [build(71, origin)];
      await finish(
        [taken.space],
        taken.snapshot.prepare((own) => own.create()),
      );
      await layer.take(taken.snapshot, 1_000_000);
      const images: { readonly origin: Buffer; readonly space: Buffer }[] = [];
      for (const linear of [origin, taken.space]) {
        linear.beforeWrite = () =>
          images.push({ origin: Buffer.from(origin.content), space: Buffer.from(taken.space.content) });
      }
      for (const { kind, at, length } of actions) {
        const bytes = Math.min(length, BYTES - at);
        if (kind === "write" || kind === "trim") {
          const payload = kind === "write" ? [Buffer.alloc(bytes, 7)] : [];
          layer.write({ command: kind, offset: at, length: bytes, fua: false, payload }, () => undefined);
        } else if (kind === "step") {
          (at % 2 === 0 ? origin : taken.space).step(length);
        }
        await turn();
      }
      for (const image of images) {
        const crashed = { ...taken, space: new HeldLinear(image.space) };
        const content = await afterCrash(crashed, new HeldLinear(image.origin));
        expect(content.equals(taken.held ?? Buffer.alloc(0))).toBe(true);
      }
      await taken.snapshot.drop();
    }),
    { seed, numRuns: 40, endOnFailure: true },
  );
});
