import { join } from "node:path";
import { expect, it } from "vitest";
import { SyncMark } from "../../agents/storage/nbd/disk-life.js";
import { tempFolder } from "../agents/temp-folder.js";

it("takes a process that died soon after it asked for a flush for one that was killed, and none else", () => {
  const file = join(tempFolder(), "sync");
  let now = 5000;
  const open = () => new SyncMark(file, () => now);
  expect(open().wasUnheard()).toBe(false);
  const died = open();
  died.set();
  now += 1999;
  expect(open().wasUnheard()).toBe(false);
  now += 1;
  expect(open().wasUnheard()).toBe(true);
  // The machine was booted since.
  now = 100;
  expect(open().wasUnheard()).toBe(true);
  died.clear();
  expect(open().wasUnheard()).toBe(false);
});
