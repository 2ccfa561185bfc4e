import fc from "fast-check";
import { expect, test } from "vitest";
import { JobGone } from "../../manager/operations/held-job.js";
import { VasError } from "../../shared/errors.js";
import { assertCopies, assertSoundStays, copiesOf } from "./copies.js";
import { State } from "./state.js";
import { HEADS, SERVERS, Walk } from "./walk.js";

/** More for a longer search: `VAS_WALKS=200`; a failure prints its seed, which `VAS_SEED` repeats. */
const RUNS = Number(process.env.VAS_WALKS ?? 12);
const STEPS = 100;
/** Steps between two looks at the whole state. */
const LOOK = 8;

test("whatever is called, reported and answered, in any order, the state stays consistent and no last copy is dropped", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { minLength: 150, maxLength: 400 }), async (numbers) => {
      const state = await State.open();
      for (let number = 1; number <= SERVERS; number += 1) await state.addServer(number, 40);
      for (let number = 1; number <= HEADS; number += 1) await state.addHead(number);
      let at = 0;
      const walk = new Walk(state, (bound) => (numbers[at++ % numbers.length] ?? 0) % bound);
      let copies = await copiesOf(state);
      for (let step = 0; step < STEPS; step += 1) {
        const act = walk.steps[walk.pick(walk.steps.length)];
        try {
          await act?.();
        } catch (error) {
          if (!(error instanceof VasError) && !(error instanceof JobGone)) throw error;
        }
        const before = copies;
        copies = await copiesOf(state);
        const mirrors = await state.store.db.selectFrom("mirror").select("mirrorid").execute();
        assertSoundStays(before, copies, new Set(mirrors.map(({ mirrorid }) => mirrorid)));
        if (step % LOOK === LOOK - 1) expect(await state.findings()).toEqual([]);
      }
      expect(await state.findings()).toEqual([]);
      await assertCopies(state);
      await state.close();
    }),
    { numRuns: RUNS, ...(process.env.VAS_SEED === undefined ? {} : { seed: Number(process.env.VAS_SEED) }) },
  );
});
