import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { expect, test } from "vitest";
import { DamagedFileError, readDurable, writeDurable } from "../../agents/common/durable-file.js";
import { tempFolder } from "./temp-folder.js";

test("a document is read as it was written, and is plain JSON besides its checksum", async () => {
  const path = join(tempFolder(), "document.json");
  const document = { text: "ä\n", list: [1, { a: null }], nothing: {} };
  await writeDurable(path, document);
  expect(await readDurable(path)).toEqual(document);
  expect(JSON.parse(readFileSync(path, "utf8"))).toMatchObject(document);
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test("an empty document is a document, and none is undefined", async () => {
  const path = join(tempFolder(), "document.json");
  expect(await readDurable(path)).toBeUndefined();
  await writeDurable(path, {});
  expect(await readDurable(path)).toEqual({});
});

test("a document that was cut off or changed anywhere is refused with a sentence", async () => {
  const path = join(tempFolder(), "document.json");
  await writeDurable(path, { lvolid: 7, revoked: 12, list: ["a", "b"] });
  const whole = readFileSync(path);
  await fc.assert(
    fc.asyncProperty(fc.nat(whole.length - 2), fc.boolean(), async (place, cut) => {
      const wrong = cut ? whole.subarray(0, place) : Buffer.from(whole);
      if (!cut) wrong[place] = (wrong[place] ?? 0) ^ 1;
      writeFileSync(path, wrong);
      await expect(readDurable(path)).rejects.toThrow(DamagedFileError);
      await expect(readDurable(path)).rejects.toThrow(/is damaged.*backup/);
    }),
    { numRuns: 60 },
  );
});
