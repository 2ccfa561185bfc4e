import { pino } from "pino";
import { expect, test } from "vitest";
import { Events } from "../../agents/common/events.js";
import { VasError } from "../../shared/errors.js";
import { EventStatus } from "../../shared/states.js";

const events = (): Events => new Events(pino({ level: "silent" }));

test("the end of an event is told once, however often it is waited for", async () => {
  const all = events();
  all.start(1, "work", async ({ progress }) => progress(40));
  expect(await all.wait(1, 60_000)).toEqual({
    status: EventStatus.DONE,
    result: 0,
    sentence: "",
    progress: 100,
  });
  expect((await all.wait(1, 60_000)).status).toBe(EventStatus.DONE);
  expect(all.tell(1)).toEqual([EventStatus.DONE, 0]);
  expect(all.tell(1)).toEqual([EventStatus.NONE, 0]);
  expect((await all.wait(1, 60_000)).status).toBe(EventStatus.NONE);
});

test("work that fails tells its errno and sentence; a defect is EIO", async () => {
  const all = events();
  all.start(1, "refused", () => Promise.reject(new VasError("EBUSY", "a client uses it")));
  all.start(2, "defect", () => Promise.reject(new Error("oops")));
  expect(await all.wait(1, 60_000)).toMatchObject({
    status: EventStatus.ERROR,
    result: 16,
    sentence: "a client uses it",
  });
  expect(await all.wait(2, 60_000)).toMatchObject({ status: EventStatus.ERROR, result: 5 });
  expect(all.tell(1)).toEqual([EventStatus.ERROR, 16]);
});

test("a repeated event is not started again, running or over", async () => {
  const all = events();
  let starts = 0;
  const work = deferred();
  const start = (): void =>
    all.start(1, "work", () => {
      starts += 1;
      return work.promise;
    });
  start();
  start();
  expect(all.tell(1)).toEqual([EventStatus.PROGRESS, 0]);
  expect(await all.wait(1, 0)).toMatchObject({ status: EventStatus.PROGRESS, progress: -1 });
  work.resolve();
  await all.wait(1, 60_000);
  start();
  expect(starts).toBe(1);
});

test("an id that came round again stands for the new work", async () => {
  const all = events();
  all.start(1, "attach lvol-00000001 epoch 1", async () => undefined);
  await all.wait(1, 60_000);
  all.start(1, "attach lvol-00000001 epoch 2", () => Promise.reject(new VasError("EIO", "no disk")));
  expect((await all.wait(1, 60_000)).status).toBe(EventStatus.ERROR);
  all.start(
    2,
    "long",
    ({ signal }) => new Promise((resolve) => signal.addEventListener("abort", () => resolve())),
  );
  expect(() => all.start(2, "other", async () => undefined)).toThrow(/not over/);
  await all.stop();
});

test("of very many ended events the newest are kept", async () => {
  const all = events();
  const count = 5000;
  for (let id = 1; id <= count; id += 1) all.start(id, "work", async () => undefined);
  await all.wait(count, 60_000);
  await all.stop();
  expect(all.tell(1)).toEqual([EventStatus.NONE, 0]);
  expect(all.tell(count)).toEqual([EventStatus.DONE, 0]);
});

function deferred() {
  let resolve = (): void => undefined;
  const promise = new Promise<void>((done) => {
    resolve = done;
  });
  return { promise, resolve };
}
