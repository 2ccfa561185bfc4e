import { join } from "node:path";
import { expect, test } from "vitest";
import { type CommitNote, openStore, type Store } from "../../manager/store/open-store.js";
import { temporaryFolder, temporaryStore } from "./temporary-folder.js";

const put = (store: Store, key: string, note?: (commit: CommitNote) => void): Promise<unknown> =>
  store.transaction((tx) => tx.insertInto("meta").values({ key, value: "" }).execute(), note);

/** The last note of a transaction. */
async function noteOf(work: (note: (commit: CommitNote) => void) => Promise<unknown>): Promise<CommitNote> {
  const notes: CommitNote[] = [];
  await work((note) => notes.push(note)).catch(() => undefined);
  const last = notes.at(-1);
  if (last === undefined) throw new Error("nothing was noted");
  return last;
}

test("each commit that changes something has the next number, whether anyone asks for it or not", async () => {
  const store = await temporaryStore();
  expect(await noteOf((note) => put(store, "a", note))).toEqual({ number: 1, isNew: true });
  await put(store, "b");
  expect(await noteOf((note) => put(store, "c", note))).toEqual({ number: 3, isNew: true });
});

test("a transaction that only reads, or fails, is told the last commit and takes no number", async () => {
  const store = await temporaryStore();
  await put(store, "a");
  const reads = (note: (commit: CommitNote) => void) =>
    store.transaction((tx) => tx.selectFrom("meta").selectAll().execute(), note);
  const fails = (note: (commit: CommitNote) => void) =>
    store.transaction(async (tx) => {
      await tx.insertInto("meta").values({ key: "b", value: "" }).execute();
      throw new Error("no");
    }, note);
  const misses = (note: (commit: CommitNote) => void) =>
    store.transaction((tx) => tx.deleteFrom("meta").where("key", "=", "none").execute(), note);
  for (const work of [reads, fails, misses]) expect(await noteOf(work)).toEqual({ number: 1, isNew: false });
  expect(await noteOf((note) => put(store, "b", note))).toEqual({ number: 2, isNew: true });
});

test("the numbers go on after a restart", async () => {
  const path = join(await temporaryFolder(), "manager.db");
  const first = await openStore(path);
  await put(first, "a");
  await first.close();
  const second = await openStore(path);
  expect(await noteOf((note) => put(second, "b", note))).toEqual({ number: 2, isNew: true });
  await second.close();
});
