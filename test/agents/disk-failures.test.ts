import { expect, test } from "vitest";
import { DiskFailures } from "../../agents/storage/disk-failures.js";

const MINUTE = 60_000;

test("a disk has failed when it failed three times within an hour, minutes apart", () => {
  const failures = new DiskFailures();
  expect(failures.note(0)).toBe(false);
  expect(failures.note(3 * MINUTE)).toBe(false);
  expect(failures.note(6 * MINUTE)).toBe(true);
});

test("what fails in one go is one failure, however often", () => {
  const failures = new DiskFailures();
  for (let at = 0; at < 2 * MINUTE; at += 1_000) expect(failures.note(at)).toBe(false);
});

test("what is long ago counts no more", () => {
  const failures = new DiskFailures();
  for (const minute of [0, 31, 62, 93]) expect(failures.note(minute * MINUTE)).toBe(false);
});
