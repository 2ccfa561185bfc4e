import { sql } from "kysely";
import { beforeEach, describe, expect, test } from "vitest";
import { checkState } from "../../manager/store/check-state.js";
import type { Store } from "../../manager/store/open-store.js";
import { temporaryStore } from "./temporary-folder.js";

/**
 * Three storage servers with a disk of 100 GB each, a head server, and a volume of 11 GB in two mirrors, attached;
 * disk 3 has 5 GB that wait for their shred.
 */
const healthy = `
  INSERT INTO storage_server (ssvrid, priority, port) VALUES (1, 1, 8883), (2, 1, 8883), (3, 1, 8883);
  INSERT INTO head_server (hsvrid, priority, port) VALUES (1, 1, 8882);
  INSERT INTO server_address (kind, address, server_id, position)
    VALUES ('storage', '10.0.0.1', 1, 0), ('storage', '10.0.0.2', 2, 0), ('storage', '10.0.0.3', 3, 0), ('head', '10.0.0.1', 1, 0);
  INSERT INTO disk (pdskid, ssvrid, local_path, sectors, capacity, priority, nbd_port, generation)
    VALUES (1, 1, '/d', 1, 100, 1, 10809, 9), (2, 2, '/d', 1, 100, 1, 10809, 9), (3, 3, '/d', 1, 100, 1, 10809, 9);
  INSERT INTO volume (lvolid, lvolname, linearid, redundancy, capacity, ctime, bind_status, bind_event, hsvrid, epoch, epoch_open)
    VALUES (1, 'v', 2, 3, 11, 0, 1, 0, 1, 1, 1);
  INSERT INTO mirror (mirrorid, lvolid, "offset", length) VALUES (3, 1, 0, 10), (4, 1, 10, 1);
  INSERT INTO extent (dextid, pdskid, "offset", length, generation, mirrorid, status)
    VALUES (5, 1, 0, 10, 1, 3, 2), (6, 2, 0, 10, 1, 3, 2), (7, 3, 0, 10, 1, 3, 3),
           (8, 1, 10, 1, 2, 4, 2), (9, 2, 10, 1, 2, 4, 2), (10, 3, 10, 1, 2, 4, 2), (11, 3, 20, 5, 3, NULL, 5);
  INSERT INTO free_range (pdskid, "offset", length) VALUES (1, 11, 89), (2, 11, 89), (3, 11, 9), (3, 25, 75);
  INSERT INTO job (kind, subject, eventid, status, phase, payload, run_at, created_at)
    VALUES ('shred', 11, 1, 1, 'begin', '{}', 0, 0), ('resync', 7, 2, 2, 'begin', '{}', 0, 0);
  UPDATE sequence SET next = 20;`;

let store: Store;

async function run(statements: string): Promise<void> {
  for (const statement of statements.split(";")) {
    if (statement.trim() !== "") await sql.raw(statement).execute(store.db);
  }
}

const findings = (): Promise<string[]> => store.transaction((tx) => checkState(tx));

beforeEach(async () => {
  store = await temporaryStore();
  await run(healthy);
  // So that what the constraints of the schema prevent can be made too.
  await run("PRAGMA foreign_keys = OFF; PRAGMA ignore_check_constraints = ON");
});

test("a healthy state has no findings, nor has an empty one", async () => {
  expect(await findings()).toEqual([]);
  const empty = await temporaryStore();
  expect(await empty.transaction((tx) => checkState(tx))).toEqual([]);
});

interface Damage {
  readonly what: string;
  readonly sql: string;
  readonly finding: string;
}

const space: Damage[] = [
  {
    what: "a gap at the beginning of a disk",
    sql: 'UPDATE extent SET "offset" = 1, length = 9 WHERE dextid = 5',
    finding: "pdsk-00000001: 0..1 GB is neither free nor part of an extent",
  },
  {
    what: "a gap between two extents",
    sql: "DELETE FROM extent WHERE dextid = 8",
    finding: "pdsk-00000001: 10..11 GB is neither free nor part of an extent",
  },
  {
    what: "a number of bad blocks that is not the one that is known",
    sql: "UPDATE disk SET bad_blocks = 2 WHERE pdskid = 1; INSERT INTO bad_block VALUES (1, 99)",
    finding: "pdsk-00000001 is said to have 2 bad blocks, but 1 are known",
  },
  {
    what: "a bad block beyond the end of a disk",
    sql: "UPDATE disk SET bad_blocks = 1 WHERE pdskid = 1; INSERT INTO bad_block VALUES (1, 100)",
    finding: "pdsk-00000001 has 1 bad blocks beyond its end",
  },
  {
    what: "a gap at the end of a disk",
    sql: 'UPDATE free_range SET length = 70 WHERE pdskid = 3 AND "offset" = 25',
    finding: "pdsk-00000003: 95..100 GB is neither free nor part of an extent",
  },
  {
    what: "a disk whose space is nowhere",
    sql: "INSERT INTO disk (pdskid, ssvrid, local_path, sectors, capacity, priority, nbd_port) VALUES (4, 3, '/e', 1, 50, 1, 1)",
    finding: "pdsk-00000004: 0..50 GB is neither free nor part of an extent",
  },
  {
    what: "an extent that is free as well",
    sql: 'UPDATE free_range SET "offset" = 10, length = 90 WHERE pdskid = 1',
    finding: "pdsk-00000001: the space from 10 to 11 GB is given out twice",
  },
  {
    what: "an extent that reaches over the next into free space",
    sql: "UPDATE extent SET length = 15 WHERE dextid = 5",
    finding: "pdsk-00000001: the space from 11 to 15 GB is given out twice",
  },
  {
    what: "space beyond the end of a disk",
    sql: "UPDATE free_range SET length = 90 WHERE pdskid = 2",
    finding: "pdsk-00000002: space up to 101 GB is given out, but the disk ends at 100 GB",
  },
  {
    what: "free ranges that are not merged",
    sql: "UPDATE free_range SET length = 30 WHERE pdskid = 1; INSERT INTO free_range VALUES (1, 41, 59)",
    finding: "pdsk-00000001: the free ranges that meet at 41 GB are not merged",
  },
  {
    what: "a generation that its disk has not given out",
    sql: "UPDATE extent SET generation = 10 WHERE dextid = 6",
    finding: "dext-00000006 has generation 10, but pdsk-00000002 has given out 9 at most",
  },
];

const members: Damage[] = [
  {
    what: "a mirror without members",
    sql: 'INSERT INTO mirror (mirrorid, lvolid, "offset", length) VALUES (12, 1, 11, 1)',
    finding: "mirr-0000000c has no member that is not FAULTY",
  },
  {
    what: "a mirror of FAULTY members only",
    sql: "UPDATE extent SET status = 4 WHERE mirrorid = 3",
    finding: "mirr-00000003 has no member that is not FAULTY",
  },
  {
    what: "a mirror whose last good member is gone",
    sql: "UPDATE extent SET status = 3 WHERE mirrorid = 3",
    finding: "mirr-00000003 has no INSYNC member, but SPARE ones",
  },
  {
    what: "members on the same server",
    sql: "UPDATE disk SET ssvrid = 1, local_path = '/e' WHERE pdskid = 2",
    finding: "mirr-00000003 has 2 members on the same server, ssvr-00000001",
  },
  {
    what: "a member of another length than its mirror",
    sql: "UPDATE mirror SET length = 2 WHERE mirrorid = 4",
    finding: "dext-00000008 is of 1 GB, its mirror mirr-00000004 of 2 GB",
  },
  {
    what: "an extent of no mirror",
    sql: "UPDATE extent SET mirrorid = NULL WHERE dextid = 7",
    finding: "dext-00000007 belongs to no mirror and does not wait for its shred",
  },
  {
    what: "a member that waits for its shred",
    sql: "UPDATE extent SET status = 5 WHERE dextid = 7",
    finding: "dext-00000007 waits for its shred, but belongs to mirr-00000003",
  },
  {
    what: "a mirror with too few members that is not marked",
    sql: "UPDATE extent SET mirrorid = NULL, status = 5 WHERE dextid = 7",
    finding: "mirr-00000003 has 2 of 3 members, and is not marked as short of them",
  },
  {
    what: "an ALLOCATED member of a volume that was attached",
    sql: "UPDATE extent SET status = 1 WHERE dextid = 7",
    finding: "dext-00000007 is ALLOCATED, but lvol-00000001 has been attached",
  },
];

const volumes: Damage[] = [
  {
    what: "a volume with a part that no mirror holds",
    sql: 'UPDATE mirror SET "offset" = 2 WHERE mirrorid = 3',
    finding: "lvol-00000001: no mirror holds 0..2 GB",
  },
  {
    what: "a volume with its end missing",
    sql: "UPDATE volume SET capacity = 15",
    finding: "lvol-00000001: no mirror holds 11..15 GB",
  },
  {
    what: "a volume without mirrors",
    sql: "INSERT INTO volume (lvolid, lvolname, linearid, redundancy, capacity, ctime, bind_status, bind_event) VALUES (13, 'w', 14, 2, 5, 0, 0, 0)",
    finding: "lvol-0000000d: no mirror holds 0..5 GB",
  },
  {
    what: "mirrors that overlap",
    sql: 'UPDATE mirror SET "offset" = 9 WHERE mirrorid = 4',
    finding: "lvol-00000001: two mirrors hold 9..10 GB",
  },
  {
    what: "mirrors beyond the end",
    sql: "UPDATE volume SET capacity = 10",
    finding: "lvol-00000001 is of 10 GB, but its mirrors reach up to 11 GB",
  },
  {
    what: "a head server of a volume that is attached nowhere",
    sql: "UPDATE volume SET bind_status = 0, epoch_open = 0",
    finding: "lvol-00000001 is attached nowhere, but names hsvr-00000001",
  },
  {
    what: "an attached volume without a head server",
    sql: "UPDATE volume SET hsvrid = NULL, epoch_open = 0",
    finding: "lvol-00000001 is attached, or on its way, but names no head server",
  },
  {
    what: "an open epoch of a volume that is attached nowhere",
    sql: "UPDATE volume SET bind_status = 0, hsvrid = NULL",
    finding: "lvol-00000001 is attached nowhere, but its epoch is open",
  },
  {
    what: "a binding of a volume that was never attached",
    sql: "UPDATE volume SET epoch = 0",
    finding: "lvol-00000001 was never attached, but its binding says otherwise",
  },
  {
    what: "an attach of a volume that is attached",
    sql: "UPDATE volume SET bind_event = 1",
    finding: "lvol-00000001 is being attached, but was not detached before",
  },
  {
    what: "an attach that nobody does",
    sql: "UPDATE volume SET bind_status = 0, bind_event = 1",
    finding: "lvol-00000001 is being attached, but no job does it",
  },
  {
    what: "a detach that nobody does any more",
    sql: "UPDATE volume SET bind_event = 2; INSERT INTO job (kind, subject, eventid, status, phase, payload, run_at, created_at) VALUES ('detach', 1, 3, 5, '', '{}', 0, 0), ('attach', 1, 3, 1, '', '{}', 0, 0)",
    finding: "lvol-00000001 is being detached, but no job does it",
  },
];

const others: Damage[] = [
  {
    what: "an address of no storage server",
    sql: "INSERT INTO server_address VALUES ('storage', '10.0.0.9', 9, 0)",
    finding: "address 10.0.0.9 belongs to ssvr-00000009, which does not exist",
  },
  {
    what: "an address of no head server, though a storage server has that id",
    sql: "INSERT INTO server_address VALUES ('head', '10.0.0.9', 2, 0)",
    finding: "address 10.0.0.9 belongs to hsvr-00000002, which does not exist",
  },
  {
    what: "an open job about a volume that is gone",
    sql: "INSERT INTO job (kind, subject, eventid, status, phase, payload, run_at, created_at) VALUES ('fence', 9, 3, 2, '', '{}', 0, 0)",
    finding: "job 3 (fence) is about lvol-00000009, which does not exist",
  },
  {
    what: "an open job about an extent that is gone",
    sql: "INSERT INTO job (kind, subject, eventid, status, phase, payload, run_at, created_at) VALUES ('resync', 1, 3, 1, '', '{}', 0, 0)",
    finding: "job 3 (resync) is about dext-00000001, which does not exist",
  },
  {
    what: "a job of an unknown kind",
    sql: "UPDATE job SET kind = 'dance' WHERE jobid = 1",
    finding: 'job 1 is of an unknown kind, "dance"',
  },
  {
    what: "a sequence that would give an id out again",
    sql: "UPDATE sequence SET next = 11 WHERE name = 'lvol'",
    finding: "sequence lvol would give out 11, but ids up to 11 exist",
  },
  {
    what: "a sequence that is missing",
    sql: "DELETE FROM sequence WHERE name = 'hsvr'",
    finding: "sequence hsvr is missing",
  },
  {
    what: "an event sequence beyond its end",
    sql: "UPDATE sequence SET next = 1048577 WHERE name = 'event'",
    finding: "sequence event is at 1048577, beyond its end",
  },
  {
    what: "an id that is used twice",
    sql: "UPDATE volume SET linearid = 8",
    finding: "id 00000008 is used 2 times among volumes, mirrors and extents",
  },
  {
    what: "a row whose parent is gone",
    sql: "DELETE FROM storage_server WHERE ssvrid = 3",
    finding: "row 3 of table disk refers to a storage_server that does not exist",
  },
  {
    what: "a value that its constraint forbids",
    sql: "UPDATE disk SET priority = 9 WHERE pdskid = 1; PRAGMA ignore_check_constraints = OFF",
    finding: "the database file is damaged: CHECK constraint failed in disk",
  },
];

describe.each([
  { about: "space", damages: space },
  { about: "members", damages: members },
  { about: "volumes", damages: volumes },
  { about: "the rest", damages: others },
])("about $about, it finds", ({ damages }) => {
  test.each(damages)("$what", async ({ sql: statements, finding }) => {
    await run(statements);
    expect(await findings()).toContain(finding);
  });
});

test("a mirror with too few members that is marked is none, nor is one with a FAULTY member among them", async () => {
  await run("UPDATE extent SET mirrorid = NULL, status = 5 WHERE dextid = 7; DELETE FROM job");
  await run("UPDATE mirror SET short = 1 WHERE mirrorid = 3; UPDATE extent SET status = 4 WHERE dextid = 10");
  expect(await findings()).toEqual([]);
});

test("a finished job about something that is gone is none", async () => {
  await run("UPDATE job SET status = 3, subject = 99");
  expect(await findings()).toEqual([]);
});

test("it tells a bounded number of findings of a kind, and how many more there are", async () => {
  await run(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 150)
    INSERT INTO server_address SELECT 'head', 'a' || i, 1000 + i, 0 FROM n`);
  const found = await findings();
  expect(found).toHaveLength(101);
  expect(found.at(-1)).toBe("and 50 more of this kind");
});
