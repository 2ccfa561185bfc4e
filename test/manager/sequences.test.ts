import { expect, test } from "vitest";
import { takeEventId, takeIds } from "../../manager/store/sequences.js";
import { MAX_EVENT_ID, MAX_ID } from "../../shared/ids.js";
import { temporaryStore } from "./temporary-folder.js";

test("ids are consecutive, start at 1, and each sequence has its own", async () => {
  const store = await temporaryStore();
  expect(await store.transaction((tx) => takeIds(tx, "lvol", 3))).toEqual([1, 2, 3]);
  expect(await store.transaction((tx) => takeIds(tx, "lvol", 2))).toEqual([4, 5]);
  expect(await store.transaction((tx) => takeIds(tx, "hsvr", 1))).toEqual([1]);
});

test("ids of a transaction that failed are given out again", async () => {
  const store = await temporaryStore();
  const failing = store.transaction(async (tx) => {
    await takeIds(tx, "pdsk", 10);
    throw new Error("no");
  });
  await expect(failing).rejects.toThrow("no");
  expect(await store.transaction((tx) => takeIds(tx, "pdsk", 1))).toEqual([1]);
});

test("the last id can be used, and after it none is left", async () => {
  const store = await temporaryStore();
  await store.db
    .updateTable("sequence")
    .set({ next: MAX_ID - 1 })
    .where("name", "=", "ssvr")
    .execute();
  const three = store.transaction((tx) => takeIds(tx, "ssvr", 3));
  await expect(three).rejects.toMatchObject({ errno: "ENOSPC", sentence: "no usable id is left" });
  expect(await store.transaction((tx) => takeIds(tx, "ssvr", 2))).toEqual([MAX_ID - 1, MAX_ID]);
  const more = store.transaction((tx) => takeIds(tx, "ssvr", 1));
  await expect(more).rejects.toMatchObject({ errno: "ENOSPC" });
});

test("event ids begin at 1 again after the last", async () => {
  const store = await temporaryStore();
  expect(await store.transaction(takeEventId)).toBe(1);
  await store.db.updateTable("sequence").set({ next: MAX_EVENT_ID }).where("name", "=", "event").execute();
  expect(await store.transaction(takeEventId)).toBe(MAX_EVENT_ID);
  expect(await store.transaction(takeEventId)).toBe(1);
});
