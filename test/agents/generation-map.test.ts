import fc from "fast-check";
import { expect, test } from "vitest";
import {
  type GenerationMap,
  highestGeneration,
  isZeroed,
  setRun,
} from "../../agents/storage/generation-map.js";

const SIZE = 24;

const run = fc
  .record({
    start: fc.nat(SIZE - 1),
    length: fc.integer({ min: 1, max: 8 }),
    generation: fc.nat(3),
    zeroed: fc.boolean(),
  })
  .map(({ start, length, generation, zeroed }) => ({
    start,
    end: Math.min(SIZE, start + length),
    generation,
    zeroed,
  }));

test("the map says of every place and span what an array of places would say", () => {
  fc.assert(
    fc.property(fc.array(run, { maxLength: 20 }), run, (runs, probe) => {
      const model = Array.from({ length: SIZE }, () => ({ generation: 0, zeroed: false }));
      let map: GenerationMap = [];
      for (const { start, end, generation, zeroed } of runs) {
        map = setRun(map, { start, end, generation, zeroed });
        model.fill({ generation, zeroed }, start, end);
        assertSound(map);
      }
      const span = model.slice(probe.start, probe.end);
      expect(highestGeneration(map, probe)).toBe(Math.max(...span.map((place) => place.generation)));
      const zeroed = span.every((place) => place.zeroed && place.generation === probe.generation);
      expect(isZeroed(map, probe, probe.generation)).toBe(zeroed);
    }),
  );
});

function assertSound(map: GenerationMap): void {
  for (const [place, { start, end, generation, zeroed }] of map.entries()) {
    expect(start).toBeLessThan(end);
    const next = map[place + 1];
    if (next === undefined) continue;
    expect(next.start).toBeGreaterThanOrEqual(end);
    const mergeable = next.start === end && next.generation === generation && next.zeroed === zeroed;
    expect(mergeable).toBe(false);
  }
}
