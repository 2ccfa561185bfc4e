import { join } from "node:path";
import { pino } from "pino";
import { expect, onTestFinished, test } from "vitest";
import { callControl } from "../../agents/common/control-socket.js";
import type { ManagerClient } from "../../agents/common/manager-client.js";
import { replaceMember } from "../../agents/head/replace-member.js";
import { VolumeFiles } from "../../agents/head/volume-files.js";
import { Volumes } from "../../agents/head/volumes.js";
import { systemClock } from "../../shared/clock.js";
import { VasError } from "../../shared/errors.js";
import {
  linearOf,
  type ParsedExtent,
  type ParsedMirror,
  type ParsedSnapshot,
  type ParsedVolume,
} from "../../shared/layout-tree.js";
import type { MirrorState, SnapshotState } from "../../shared/methods/manager-methods.js";
import { lives } from "./lives.js";
import { tempFolder } from "./temp-folder.js";
import { until } from "./until.js";

const RUNNING = new AbortController().signal;

function extent(lvolid: number): ParsedExtent {
  const lvolspec = {
    pdskid: lvolid,
    offset: 0,
    ssvrid: lvolid,
    iscsi_path: ["nbd://127.0.0.1:1/x"],
    generation: 1,
  };
  return { lvolid, lvoltype: 3, capacity: 1, mirror_status: 2, lvolspec, labels: [], components: [] };
}

function volume(lvolname = "data"): ParsedVolume {
  const node = { capacity: 1, mirror_status: 2 as const, labels: [] };
  const components = [extent(4), extent(5)];
  const mirror: ParsedMirror = { ...node, lvolid: 3, lvoltype: 2, lvolspec: { version: 1 }, components };
  const lvolspec = { lvolname, redundancy: 2, assoc: [], ctime: "" };
  const linear = { ...node, lvolid: 2, lvoltype: 1 as const, lvolspec: {}, components: [mirror] };
  return { ...node, lvolid: 1, lvoltype: 0, lvolspec, components: [linear] };
}

async function openHead(folder = tempFolder(), attachMs = 60_000) {
  const state: {
    mirror: MirrorState | VasError;
    snapshots: readonly SnapshotState[];
    reported: object[];
    gone: number;
  } = {
    mirror: {
      version: 9,
      members: [
        { dextid: 4, mirror_status: 2 },
        { dextid: 5, mirror_status: 3 },
      ],
    },
    snapshots: [],
    reported: [],
    gone: 0,
  };
  const manager = {
    call: async (method: string, params: object) => {
      if (state.mirror instanceof VasError) throw state.mirror;
      if (method === "getSnapshots") return state.snapshots;
      if (method === "reportSnapshotFailure") state.reported.push(params);
      return state.mirror;
    },
    close: () => undefined,
  } as unknown as ManagerClient;
  const program = {
    entry: join(import.meta.dirname, "fixtures", "fake-volume.mjs"),
    runDir: folder,
    spec: {
      managers: [],
      memberTimeoutMs: 1000,
      snapshotTimeoutMs: 5000,
      tcp: null,
      logFormat: "json",
      logLevel: "info",
    },
    remains: undefined,
  };
  const around = {
    program,
    files: await VolumeFiles.open(folder),
    manager,
    clock: systemClock,
    log: pino({ level: "silent" }),
  };
  const volumes = new Volumes({ ...around, attachMs, detachMs: 20_000 }, () => {
    state.gone += 1;
  });
  onTestFinished(() => volumes.stopAll());
  const control = join(folder, "lvol-00000001.ctl");
  const status = () =>
    callControl(control, "status", {}, 60_000) as Promise<{
      pid: number;
      incarnation: number;
      lvolstruct: ParsedVolume;
    }>;
  return { folder, state, volumes, status };
}

const members = (tree: ParsedVolume) =>
  linearOf(tree).components[0]?.components.map(({ lvolid, mirror_status }) => [lvolid, mirror_status]);

test("a volume is served, once for an epoch, and gone after its detach", async () => {
  const { volumes, status } = await openHead();
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  const { pid } = await status();
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  expect((await status()).pid).toBe(pid);
  await expect(
    volumes.attach({ lvolstruct: volume(), epoch: 4, maintenance: false }, RUNNING),
  ).rejects.toMatchObject({ errno: "ESTALE" });
  expect(volumes.running()).toEqual([{ lvolid: 1, epoch: 5 }]);
  await volumes.detach(1, 5);
  await volumes.detach(1, 5);
  expect(lives(pid)).toBe(false);
  expect(volumes.running()).toEqual([]);
});

test("a higher epoch ends the process of the lower one first; a late detach of that one does nothing", async () => {
  const { volumes, status } = await openHead();
  await volumes.attach({ lvolstruct: volume("busy"), epoch: 5, maintenance: false }, RUNNING);
  const { pid, incarnation } = await status();
  await volumes.attach({ lvolstruct: volume("busy"), epoch: 6, maintenance: false }, RUNNING);
  expect(lives(pid)).toBe(false);
  const next = await status();
  expect(next.incarnation).toBeGreaterThan(incarnation);
  await volumes.detach(1, 5);
  expect((await status()).pid).toBe(next.pid);
});

test("a volume in use is not detached and goes on", async () => {
  const { volumes, status } = await openHead();
  await volumes.attach({ lvolstruct: volume("busy"), epoch: 5, maintenance: false }, RUNNING);
  const { pid } = await status();
  await expect(volumes.detach(1, 5)).rejects.toMatchObject({ errno: "EBUSY" });
  expect((await status()).pid).toBe(pid);
});

test("a start that is refused, or takes too long, leaves nothing behind", async () => {
  const { volumes } = await openHead(tempFolder(), 1);
  await expect(
    volumes.attach({ lvolstruct: volume("slow"), epoch: 6, maintenance: false }, RUNNING),
  ).rejects.toMatchObject({ errno: "ETIMEDOUT" });
  expect(volumes.running()).toEqual([]);
  const other = await openHead();
  await expect(
    other.volumes.attach({ lvolstruct: volume("fenced"), epoch: 5, maintenance: false }, RUNNING),
  ).rejects.toMatchObject({ errno: "ESTALE" });
  expect(other.volumes.running()).toEqual([]);
});

test("a detach does not wait for a start that hangs", async () => {
  const { volumes } = await openHead();
  const start = volumes.attach({ lvolstruct: volume("slow"), epoch: 5, maintenance: false }, RUNNING);
  const refused = expect(start).rejects.toMatchObject({ errno: "ECANCELED" });
  await until(() => volumes.running().length === 1);
  await volumes.detach(1, 5);
  await refused;
  expect(volumes.running()).toEqual([]);
});

test("a volume process outlives its control process and is found again", async () => {
  const first = await openHead();
  await first.volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  const { pid } = await first.status();
  first.volumes.release();
  const second = await openHead(first.folder);
  await second.volumes.adoptAll();
  expect(second.volumes.running()).toEqual([{ lvolid: 1, epoch: 5 }]);
  second.volumes.release();
  process.kill(pid, "SIGKILL");
  // Its sockets are closed before it is gone.
  await until(() => !lives(pid));
  const third = await openHead(first.folder);
  await third.volumes.adoptAll();
  expect(third.volumes.running()).toEqual([]);
});

test("a process that died is started again with the members that hold now", async () => {
  const { volumes, status } = await openHead();
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  const { pid, incarnation } = await status();
  process.kill(pid, "SIGKILL");
  await until(() =>
    status().then(
      (now) => now.pid !== pid,
      () => false,
    ),
  );
  const now = await status();
  expect(now.incarnation).toBeGreaterThan(incarnation);
  expect(members(now.lvolstruct)).toEqual([
    [4, 2],
    [5, 3],
  ]);
  expect(linearOf(now.lvolstruct).components[0]?.lvolspec.version).toBe(9);
});

test("a process that died is not started again when its epoch is closed or a member is unknown", async () => {
  for (const answer of [
    new VasError("ESTALE", "closed"),
    { version: 9, members: [{ dextid: 77, mirror_status: 2 }] },
  ]) {
    const { volumes, status, state } = await openHead();
    state.mirror = answer;
    await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
    process.kill((await status()).pid, "SIGKILL");
    await until(() => state.gone === 1);
    expect(volumes.running()).toEqual([]);
  }
});

function snapshot(lvolid: number, lvolname: string): ParsedSnapshot {
  const node = { capacity: 2, mirror_status: 2 as const, labels: [] };
  const lvolspec = { lvolname, redundancy: 2, assoc: [], ctime: "" };
  const components = [extent(lvolid + 3), extent(lvolid + 4)];
  const mirror: ParsedMirror = {
    ...node,
    lvolid: lvolid + 2,
    lvoltype: 2,
    lvolspec: { version: 1 },
    components,
  };
  const linear = { ...node, lvolid: lvolid + 1, lvoltype: 1 as const, lvolspec: {}, components: [mirror] };
  const layer = { ...node, lvolid: lvolid + 5, lvoltype: 7 as const, lvolspec: { origin_lvolid: 9 } };
  return {
    ...node,
    lvolid,
    lvoltype: 0,
    lvolspec,
    components: [{ ...layer, components: [linear] }],
  };
}

/** Kills the process and waits for the next one. @returns the snapshots that it serves. */
async function snapshotsAfterRestart({ status }: Awaited<ReturnType<typeof openHead>>): Promise<number[]> {
  const { pid } = await status();
  process.kill(pid, "SIGKILL");
  await until(() =>
    status().then(
      (now) => now.pid !== pid,
      () => false,
    ),
  );
  return (await status()).lvolstruct.lvolspec.assoc.map(({ lvolid }) => lvolid);
}

test("a snapshot is kept by the next start if the manager counts on it, one that was ended or lost is not", async () => {
  const head = await openHead();
  const { volumes, state } = head;
  state.mirror = { version: 9, members: [] };
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  const all = [100, 200, 300, 400];
  state.snapshots = all.map((lvolid) => ({ snapshot_lvolid: lvolid, snapshot_status: "CREATING" }));
  for (const lvolid of all) await volumes.createSnapshot(1, 5, snapshot(lvolid, `s${lvolid}`), 1);
  await volumes.deleteSnapshot(1, 5, 200, 2);
  state.snapshots = [
    { snapshot_lvolid: 100, snapshot_status: "VALID" },
    { snapshot_lvolid: 200, snapshot_status: "DELETING" },
    { snapshot_lvolid: 300, snapshot_status: "INVALID" },
    { snapshot_lvolid: 400, snapshot_status: "CREATING" },
  ];
  expect(await snapshotsAfterRestart(head)).toEqual([100, 400]);
  // One whose deletion is under way is kept no longer: were it refused, it must not be said to be VALID.
  expect(state.reported).toMatchObject([{ snapshot_lvolid: 200 }]);
});

test("a snapshot with a good copy that the head does not know is given up, and not its origin", async () => {
  const head = await openHead();
  const { volumes, state } = head;
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  state.snapshots = [{ snapshot_lvolid: 100, snapshot_status: "CREATING" }];
  await volumes.createSnapshot(1, 5, snapshot(100, "s"), 1);
  state.snapshots = [{ snapshot_lvolid: 100, snapshot_status: "VALID" }];
  // Good for the volume's own mirror, and unknown in that of the snapshot.
  state.mirror = { version: 9, members: [{ dextid: 4, mirror_status: 2 }] };
  expect(await snapshotsAfterRestart(head)).toEqual([]);
  expect(state.reported).toMatchObject([{ snapshot_lvolid: 100, reason: expect.stringContaining("dext-") }]);
});

test("a snapshot that the manager counts on and the head does not know is given up before its origin is served", async () => {
  const head = await openHead();
  await head.volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  head.state.snapshots = [
    { snapshot_lvolid: 100, snapshot_status: "VALID" },
    { snapshot_lvolid: 200, snapshot_status: "CREATING" },
  ];
  expect(await snapshotsAfterRestart(head)).toEqual([]);
  expect(head.state.reported).toMatchObject([{ lvolid: 1, epoch: 5, snapshot_lvolid: 100 }]);
});

test("a snapshot in use is not ended; of another epoch, or one that is not there, nothing is to be ended", async () => {
  const { volumes, state, status } = await openHead();
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  const all = [100, 200];
  state.snapshots = all.map((lvolid) => ({ snapshot_lvolid: lvolid, snapshot_status: "CREATING" }));
  await volumes.createSnapshot(1, 5, snapshot(100, "opened"), 1);
  await expect(volumes.deleteSnapshot(1, 5, 100, 2)).rejects.toMatchObject({ errno: "EBUSY" });
  await volumes.deleteSnapshot(1, 4, 100, 2);
  await volumes.deleteSnapshot(2, 5, 100, 2);
  await volumes.deleteSnapshot(1, 5, 200, 2);
  expect((await status()).lvolstruct.lvolspec.assoc).toHaveLength(1);
  await expect(volumes.createSnapshot(1, 4, snapshot(200, "s"), 3)).rejects.toMatchObject({
    errno: "ENOENT",
  });
  const refused = volumes.createSnapshot(1, 5, snapshot(200, "refused"), 3);
  await expect(refused).rejects.toMatchObject({ errno: "ETIMEDOUT" });
});

test("calls about a snapshot that were held up on their way change nothing any more", async () => {
  const { volumes, state, status } = await openHead();
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  const kept = async () => (await status()).lvolstruct.lvolspec.assoc.map(({ lvolid }) => lvolid);
  state.snapshots = [{ snapshot_lvolid: 100, snapshot_status: "CREATING" }];
  await volumes.createSnapshot(1, 5, snapshot(100, "opened"), 1);
  state.snapshots = [{ snapshot_lvolid: 100, snapshot_status: "VALID" }];
  // Delivered again: the same call, one of another attempt, and the end of it that was given up.
  await volumes.createSnapshot(1, 5, snapshot(100, "opened"), 1);
  await expect(volumes.createSnapshot(1, 5, snapshot(100, "opened"), 9)).rejects.toMatchObject({
    errno: "ESTALE",
  });
  await expect(volumes.deleteSnapshot(1, 5, 100, 1)).rejects.toMatchObject({ errno: "ESTALE" });
  // Its deletion is refused, which the manager has not recorded yet; nor does a client have it open any more.
  state.snapshots = [{ snapshot_lvolid: 100, snapshot_status: "DELETING" }];
  await expect(volumes.deleteSnapshot(1, 5, 100, 2)).rejects.toMatchObject({ errno: "EBUSY" });
  await expect(volumes.deleteSnapshot(1, 5, 100, 2)).rejects.toMatchObject({
    sentence: expect.stringContaining("before"),
  });
  await expect(volumes.deleteSnapshot(1, 5, 100, 3)).rejects.toMatchObject({ sentence: "it is open" });
  expect(await kept()).toEqual([100]);
  state.snapshots = [];
  await expect(volumes.createSnapshot(1, 5, snapshot(200, "s"), 4)).rejects.toMatchObject({
    errno: "ESTALE",
  });
});

test("a member that joined is known to the next start", async () => {
  const { volumes, status, state } = await openHead();
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  const attached = volumes.findByMirror(3, 1);
  if (attached === undefined) throw new Error("the mirror is not there");
  const change = { mirrorid: 3, version: 2, add: extent(6), remove: null };
  await replaceMember(attached, change, { progress: () => undefined, signal: RUNNING });
  state.mirror = { version: 10, members: [{ dextid: 6, mirror_status: 2 }] };
  const { pid } = await status();
  process.kill(pid, "SIGKILL");
  await until(() =>
    status().then(
      (now) => now.pid !== pid,
      () => false,
    ),
  );
  expect(members((await status()).lvolstruct)).toEqual([[6, 2]]);
});

test("what is no fault of the member's disk is not told as one", async () => {
  for (const name of ["dying", "defective"]) {
    const { volumes } = await openHead();
    await volumes.attach({ lvolstruct: volume(name), epoch: 5, maintenance: false }, RUNNING);
    const attached = volumes.findByMirror(3, 1);
    if (attached === undefined) throw new Error("the mirror is not there");
    const change = { mirrorid: 3, version: 2, add: extent(6), remove: null };
    const work = { progress: () => undefined, signal: RUNNING };
    await expect(replaceMember(attached, change, work)).rejects.toMatchObject({ errno: "EAGAIN" });
  }
});

test("an attach that arrives after the detach of its epoch is refused for ever", async () => {
  const { volumes, folder } = await openHead();
  await volumes.attach({ lvolstruct: volume(), epoch: 5, maintenance: false }, RUNNING);
  await volumes.detach(1, 6);
  await volumes.detach(1, 4);
  for (const epoch of [5, 6])
    await expect(
      volumes.attach({ lvolstruct: volume(), epoch: epoch, maintenance: false }, RUNNING),
    ).rejects.toMatchObject({ errno: "ESTALE" });
  const next = await openHead(folder);
  await next.volumes.adoptAll();
  await expect(
    next.volumes.attach({ lvolstruct: volume(), epoch: 6, maintenance: false }, RUNNING),
  ).rejects.toMatchObject({ errno: "ESTALE" });
  expect(next.volumes.running()).toEqual([]);
  await next.volumes.attach({ lvolstruct: volume(), epoch: 7, maintenance: false }, RUNNING);
});

test("a detach counts although the volume was not there, unless it is of no certain epoch or was refused", async () => {
  const { volumes } = await openHead();
  await volumes.detach(1, 3);
  await expect(
    volumes.attach({ lvolstruct: volume(), epoch: 3, maintenance: false }, RUNNING),
  ).rejects.toMatchObject({ errno: "ESTALE" });
  await volumes.attach({ lvolstruct: volume(), epoch: 4, maintenance: false }, RUNNING);
  await volumes.detach(1, undefined);
  expect(volumes.running()).toEqual([]);
  await volumes.attach({ lvolstruct: volume("busy"), epoch: 4, maintenance: false }, RUNNING);
  await expect(volumes.detach(1, 4)).rejects.toMatchObject({ errno: "EBUSY" });
  await volumes.attach({ lvolstruct: volume("busy"), epoch: 4, maintenance: false }, RUNNING);
});
