import { expect, test } from "vitest";
import { diskColumns } from "../../cli/commands/disk.js";
import { eventColumns } from "../../cli/commands/event.js";
import { jobColumns, jobLines } from "../../cli/commands/job.js";
import { headColumns, storageColumns } from "../../cli/commands/server.js";
import { snapshotColumns } from "../../cli/commands/snapshot.js";
import { statusLines } from "../../cli/commands/status.js";
import { memberColumns, memberRows, volumeColumns } from "../../cli/commands/volume.js";
import { fold, foldEntry } from "../../cli/fold.js";
import { renderTable, type Terminal } from "../../cli/table.js";
import type { ClusterStatus, JobState } from "../../shared/methods/manager-methods.js";
import { JobStatus } from "../../shared/states.js";
import { disks, events, headServers, LONG_NAME, layout, storageServers, volumes } from "./answers.js";

const job = {
  status: JobStatus.RUNNING,
  attempts: 123,
  progress: 100,
  last_error: "EHOSTDOWN: grantExtents reached none of 192.168.120.101:8883 (ECONNREFUSED).",
};
const status: ClusterStatus = {
  cluster: "01234567-89ab-cdef-0123-456789abcdef",
  serial: 1,
  healthy: false,
  notices: [`lvol-7fffffff ${LONG_NAME}: 17 of 104857 members wait for a place on another storage server`],
  volumes: { total: 100_000, attached: 99_999, degraded: 12_345 },
  head_servers: { total: 1000, up: 999 },
  storage_servers: { total: 1000, up: 999 },
  disks: { total: 10_000, up: 9999 },
  capacity: { total: 123_456_789, available: 23_456_789, unshredded: 12_345_678 },
  jobs: [
    { ...job, jobid: 1, kind: "create-snapshot", subject: "lvol-7fffffff" },
    { ...job, jobid: 2, kind: "resync", subject: "dext-7fffffff on pdsk-7fffffff", progress: -1 },
  ],
};

const jobState: JobState = {
  ...job,
  jobid: 1_234_567,
  kind: "create-snapshot",
  subject: `volume ${LONG_NAME} (lvol-7fffffff) to hsvr-7fffffff`,
  phase: "serve",
  created: "2026-01-31T23:59:59",
  finished: "",
  age: 604_800,
  next_in: 3_599,
  result: "EHOSTDOWN",
};

const snapshots = volumes
  .filter(({ snapshot_status }) => snapshot_status !== "")
  .map((volume) => ({ ...volume, origin: LONG_NAME }));

/** What each command prints for a terminal. */
const outputs: Readonly<Record<string, (terminal: Terminal) => string[]>> = {
  "volume list": (terminal) => renderTable(terminal, volumeColumns, volumes),
  "volume show": (terminal) => renderTable(terminal, memberColumns, memberRows(layout)),
  "snapshot list": (terminal) => renderTable(terminal, snapshotColumns, snapshots),
  "server list, heads": (terminal) => renderTable(terminal, headColumns, headServers),
  "server list, storage": (terminal) => renderTable(terminal, storageColumns, storageServers),
  "disk list": (terminal) => renderTable(terminal, diskColumns, disks),
  "event list": (terminal) => renderTable(terminal, eventColumns, events),
  "job list": (terminal) => renderTable(terminal, jobColumns, [jobState]),
  "job show": (terminal) => jobLines(terminal, jobState),
  status: (terminal) => statusLines(terminal, status),
};

const ID = /\b(?:lvol|mirr|dext|pdsk|ssvr|hsvr)-[0-9a-f]{8}\b/g;
const idsOf = (lines: readonly string[]): string[] => (lines.join("\n").match(ID) ?? []).sort();

test.each(Object.keys(outputs))("vas %s fits 80 columns and cuts no id", (name) => {
  const render = outputs[name] as (terminal: Terminal) => string[];
  const lines = render({ width: 80, colours: false });
  expect(lines.filter((line) => line.length > 80)).toEqual([]);
  expect(idsOf(lines)).toEqual(idsOf(render({ width: Number.POSITIVE_INFINITY, colours: false })));
});

test("nothing breaks in a terminal of a single column", () => {
  for (const render of Object.values(outputs)) {
    expect(render({ width: 1, colours: true }).length).toBeGreaterThan(0);
  }
});

test("a text is folded between its words, and a long word broken", () => {
  expect(fold("one two three", 8)).toEqual(["one two", "three"]);
  expect(fold("abcdefghij k", 4)).toEqual(["abcd", "efgh", "ij k"]);
  expect(fold("", 4)).toEqual([""]);
  expect(foldEntry("! ", "one two three", 9)).toEqual(["! one two", "  three"]);
});
