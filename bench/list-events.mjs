// Time of a list of events, of what looks for open jobs, and of forgetting, with a full history.
// Run: npm run build && node bench/list-events.mjs
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { sql } from "kysely";
import { forgetOldEvents } from "../dist/manager/operations/forget-old-events.js";
import { listEvents } from "../dist/manager/operations/list-events.js";
import { nextToShred } from "../dist/manager/store/extents.js";
import * as jobs from "../dist/manager/store/jobs.js";
import { openStore } from "../dist/manager/store/open-store.js";

const FINISHED = 100_000;
const EVENTS = 100_000;
const ROUNDS = 15;
const END = { now: 1, result: "", last_error: "" };

const numbers = (count) =>
  sql.raw(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})`);

async function fill(tx, open) {
  await sql`${numbers(FINISHED)}
    INSERT INTO job (kind, subject, eventid, status, phase, payload, run_at, created_at, finished_at, description)
    SELECT iif(i % 2, 'resync', 'shred'), i, i, 3, 'begin', '{}', i, i, i + 5,
      'dext-00000005 on pdsk-00000001 (10 GB), mirror mirr-00000002 of volume demo' FROM n`.execute(tx);
  await sql`${numbers(EVENTS)}
    INSERT INTO event (time, eventid, target, targetid, event, event_status, sentence)
    SELECT i, i, 4, i, 1, 0, 'dext-00000005 on pdsk-00000001 (10 GB) is out of sync' FROM n`.execute(tx);
  await sql`${numbers(open)}
    INSERT INTO job (kind, subject, eventid, status, phase, payload, run_at, created_at, description)
    SELECT iif(i % 2, 'resync', 'shred'), 1000000 + i, i, 1 + (i % 100 = 0), 'begin', '{}', i, i, 'x' FROM n`.execute(
    tx,
  );
}

/** Median of the rounds after the first ones, which warm up. */
async function measure(store, name, run) {
  const times = [];
  for (let round = 0; round < ROUNDS; round++) {
    const start = performance.now();
    await store.transaction(run);
    times.push(performance.now() - start);
  }
  const warm = times.slice(5).sort((a, b) => a - b);
  console.log(`  ${name}: ${warm[warm.length >> 1].toFixed(2)} ms`);
}

async function measureAll(open) {
  const folder = mkdtempSync(join(tmpdir(), "vas-bench-"));
  const store = await openStore(join(folder, "manager.db"));
  await store.transaction((tx) => fill(tx, open));
  console.log(`${FINISHED} finished jobs, ${EVENTS} events, ${open} open jobs`);
  const progressOf = () => 50;
  for (const limit of [100, 1_000, 10_000])
    await measure(store, `list of ${limit}`, (tx) => listEvents(tx, { limit, progressOf }));
  await measure(store, "an open job", (tx) => jobs.findOpenJob(tx, "shred", 1_000_002));
  await measure(store, "running jobs", (tx) => jobs.runningJobs(tx));
  await measure(store, "due jobs", (tx) => jobs.dueJobs(tx, 1e9, 60_000, 1_000));
  await measure(store, "next shreds", (tx) => nextToShred(tx, 1e9, 16));
  await measure(store, "resyncs of disks", (tx) => jobs.resyncsByDisk(tx));
  await measure(store, "cancelled attach", (tx) => jobs.cancelOpenJobs(tx, ["attach", "detach"], 7, END));
  await measure(store, "cancelled resyncs", (tx) => jobs.cancelResyncsOfVolume(tx, 7, END));
  await measure(store, "cancelled shreds", (tx) => jobs.cancelShredsOfDisk(tx, 1, END));
  const past = { now: 1e9, settings: { event_retention: 0, max_events: FINISHED } };
  await measure(store, "a batch forgotten", (tx) => forgetOldEvents(tx, {}, past));
  await store.close();
  rmSync(folder, { recursive: true });
}

await measureAll(200);
await measureAll(20_000);
