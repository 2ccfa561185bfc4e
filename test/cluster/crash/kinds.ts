import { expect } from "vitest";
import { sendSignal } from "../../../cli/local/processes.js";
import { BindStatus, FailureTarget } from "../../../shared/states.js";
import { firstNonZero } from "../../harness/disk-files.js";
import { faultOf } from "../../harness/fault-of.js";
import { waitUntil } from "../../harness/wait-until.js";
import type { CrashWorld } from "./crash-world.js";
import type { JobKind } from "./job-kind.js";

/** The jobs of the manager: a new one is an object here and a test that runs it. */

/** Nothing but the job itself is to happen: no server check, which would find a killed server silent at some points. */
const quiet = { server_check_interval: 3600 } as const;
const small = { storageServers: 2, headServers: 1, diskGb: 1, manager: quiet } as const;
/** An agent that is down is asked again for so long. */
const impatient = { ...quiet, agent_timeout: 2 } as const;
const twoHeads = { ...small, headServers: 2, manager: impatient } as const;
const begin = (world: CrashWorld): Promise<void> => world.create(2);

export const attach: JobKind = {
  name: "attach",
  cluster: small,
  victims: ["manager", "head", "storage"],
  isConfirmed: true,
  begin,
  prepare: (world) => world.makeUnbound(),
  act: (world) => world.attach(world.head),
  finish: async (world) => {
    const wasBound = await isBound(world);
    if (!wasBound) await world.attach(world.head);
    await world.settle();
    await world.use(world.head);
    return wasBound ? "done" : "undone";
  },
};

export const detach: JobKind = {
  name: "detach",
  cluster: small,
  victims: ["manager", "head", "storage"],
  isConfirmed: true,
  begin,
  prepare: (world) => world.makeBound(world.head),
  act: (world) => world.detach(),
  finish: async (world) => {
    const wasBound = await isBound(world);
    if (wasBound) await world.detach();
    return wasBound ? "undone" : "done";
  },
};

export const fence: JobKind = {
  name: "fence",
  cluster: twoHeads,
  victims: ["manager", "head", "storage"],
  isConfirmed: false,
  begin,
  prepare: (world) => world.makeBound(world.head),
  act: (world) => fenceHead(world),
  finish: async (world) => {
    const wasBound = await isBound(world);
    if (wasBound) {
      await fenceHead(world);
      await world.settle();
    }
    await useElsewhere(world);
    await world.bringUp(world.head);
    return wasBound ? "undone" : "done";
  },
};

/** The head does not answer: nothing was begun there, so the attach is undone by revoking its epoch. */
export const attachAtDeadHead: JobKind = {
  name: "attach at a head that is down",
  firstOwnPoint: "before call attachLogicalVolume",
  cluster: twoHeads,
  victims: ["manager", "storage"],
  isConfirmed: false,
  begin: async (world) => {
    await begin(world);
    await world.head.killControl();
  },
  prepare: (world) => world.makeUnbound(),
  act: (world) => refused(world, ["EHOSTDOWN"]),
  finish: async (world) => {
    await useElsewhere(world);
    return "done";
  },
};

/** The head takes the call, and does not get on with it: given up at the deadline, and the head can't confirm that. */
export const attachWithoutEnd: JobKind = {
  name: "attach that does not end",
  firstOwnPoint: "after answer of attachLogicalVolume",
  cluster: { ...twoHeads, manager: { ...impatient, attach_timeout: 10 } },
  victims: ["manager", "storage"],
  isConfirmed: false,
  obstacle: {
    victim: "head",
    point: { kind: "before rename lvol-#.spec.json", occurrence: 0 },
    action: "hang",
  },
  begin,
  prepare: (world) => world.makeUnbound(),
  act: (world) => refused(world, ["ETIMEDOUT"]),
  finish: async (world) => {
    await useElsewhere(world);
    return "done";
  },
};

/** The head reports that it can't: the volume is in ERROR until it is detached. */
export const attachInError: JobKind = {
  name: "attach that its head reports as failed",
  firstOwnPoint: "after answer of waitEvent",
  cluster: twoHeads,
  victims: ["manager", "storage"],
  isConfirmed: true,
  obstacle: {
    victim: "head",
    point: { kind: "before rename lvol-#.spec.json", occurrence: 0 },
    action: "fail",
  },
  begin,
  prepare: (world) => world.makeUnbound(),
  act: (world) => refused(world, ["EIO"]),
  finish: async (world) => {
    const volume = await world.volume();
    expect([BindStatus.ERROR, BindStatus.UNBOUND], JSON.stringify(volume)).toContain(volume?.bind_status);
    await world.detach();
    await useElsewhere(world);
    return volume?.bind_status === BindStatus.ERROR ? "done" : "undone";
  },
};

/** The undisturbed attach is refused, and not by anything else. A caller that was cut off has not learnt why. */
async function refused(world: CrashWorld, names: readonly string[]): Promise<void> {
  const { errno } = await faultOf(world.attach(world.head));
  expect(names).toContain(errno);
}

/** A member is declared failed: another extent, on the third server, is filled in its place, and its own is shredded. */
export const replace: JobKind = {
  name: "replacing a member",
  cluster: { ...small, storageServers: 3 },
  managerSample: 4,
  victims: ["manager", "head"],
  isConfirmed: true,
  begin,
  prepare: (world) => world.makeBound(world.head),
  act: async (world) => {
    const [dextid = 0] = await world.members();
    world.memory.set("failed", dextid);
    await failExtent(world, dextid);
  },
  finish: async (world) => {
    const dextid = world.memory.get("failed") ?? 0;
    const isThere = (await world.members()).includes(dextid);
    if (isThere) await failExtent(world, dextid);
    await world.settle();
    await world.use(world.head);
    return isThere ? "undone" : "done";
  },
};

async function failExtent(world: CrashWorld, dextid: number): Promise<void> {
  await world.cluster.api("notifyFailure", { target: FailureTarget.LVOL, targetid: dextid });
  // No job is open before the reconciler has looked.
  await waitUntil("the extent is replaced", async () => !(await world.members()).includes(dextid), 240_000);
}

/** The export of a member is silent while the volume is written: the member is out of sync, and catches up. */
export const resync: JobKind = {
  name: "resync",
  cluster: { ...small, head: { member_timeout: 1 } },
  victims: ["manager", "head", "storage"],
  isConfirmed: true,
  begin,
  prepare: (world) => world.makeBound(world.head),
  act: async (world) => {
    const exports = world.probes.storage.server.children();
    sendSignal(exports, "SIGSTOP");
    try {
      await world.use(world.head);
    } finally {
      sendSignal(exports, "SIGCONT");
    }
    // Else the job that follows could begin after a moment in which nothing is under way.
    await world.settle();
  },
  finish: async (world) => {
    expect(await isBound(world)).toBe(true);
    await world.use(world.head);
    return "done";
  },
};

/** A volume that was written is deleted: its space is zeroed, and free. */
export const shred: JobKind = {
  name: "shred",
  cluster: small,
  victims: ["manager", "storage"],
  isConfirmed: true,
  begin: async () => undefined,
  prepare: async (world) => {
    if ((await world.volume()) === undefined) await world.create(2);
    await world.makeBound(world.head);
    await world.makeUnbound();
    world.oldContent = await world.contentPlaces();
    for (const { path, from, to } of world.oldContent) expect(firstNonZero(path, from, to)).toBeDefined();
  },
  act: (world) => deleteVolume(world),
  finish: async (world) => {
    const isThere = (await world.volume()) !== undefined;
    if (isThere) await deleteVolume(world);
    await world.settle();
    for (const { path, from, to } of world.oldContent) {
      expect(firstNonZero(path, from, to), "a byte that is not zero").toBe(undefined);
    }
    return isThere ? "undone" : "done";
  },
};

/** A snapshot of an attached volume: there with the content that the volume had, or as if it had never been asked for. */
export const takeSnapshot: JobKind = {
  name: "taking a snapshot",
  cluster: { ...small, diskGb: 4 },
  victims: ["manager", "head", "storage"],
  isConfirmed: true,
  begin,
  prepare: async (world) => {
    await world.makeBound(world.head);
    if ((await world.snapshot()) !== undefined) await world.deleteSnapshot();
    await world.settle();
    world.rememberForSnapshot();
  },
  act: (world) => world.takeSnapshot(),
  finish: async (world) => {
    const snapshot = await world.snapshot();
    if (snapshot === undefined) await world.takeSnapshot();
    else expect(snapshot.snapshot_status).toBe("VALID");
    await world.readSnapshot(world.head);
    await world.use(world.head);
    await world.readSnapshot(world.head);
    await world.deleteSnapshot();
    await world.settle();
    return snapshot === undefined ? "undone" : "done";
  },
};

/** A snapshot of an attached volume is deleted: its space is shredded, and the volume goes on. */
export const deleteSnapshot: JobKind = {
  name: "deleting a snapshot",
  cluster: { ...small, diskGb: 4 },
  victims: ["manager", "head", "storage"],
  isConfirmed: true,
  begin,
  prepare: async (world) => {
    await world.makeBound(world.head);
    if ((await world.snapshot()) === undefined) await world.takeSnapshot();
    await world.use(world.head);
    await world.readSnapshot(world.head);
  },
  act: (world) => world.deleteSnapshot(),
  finish: async (world) => {
    const isThere = (await world.snapshot()) !== undefined;
    if (isThere) await world.deleteSnapshot();
    await world.settle();
    await world.use(world.head);
    return isThere ? "undone" : "done";
  },
};

async function deleteVolume({ cluster, lvolid }: CrashWorld): Promise<void> {
  await cluster.api("deleteLogicalVolume", { lvolid });
}

async function fenceHead({ cluster, head }: CrashWorld): Promise<void> {
  const targetid = await cluster.headServerId(head);
  await cluster.api("notifyFailure", { target: FailureTarget.HSVR, targetid });
}

/** The volume can be used at the other head, has its content, and is free again afterwards. */
async function useElsewhere(world: CrashWorld): Promise<void> {
  expect(await isBound(world)).toBe(false);
  await world.makeBound(world.otherHead);
  await world.makeUnbound();
}

/** @throws if it is neither bound nor unbound. */
async function isBound(world: CrashWorld): Promise<boolean> {
  const volume = await world.volume();
  expect([BindStatus.BOUND, BindStatus.UNBOUND], JSON.stringify(volume)).toContain(volume?.bind_status);
  return volume?.bind_status === BindStatus.BOUND;
}
