import { expect } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { beginMaintenance } from "../../manager/operations/begin-maintenance.js";
import { retryJob } from "../../manager/operations/claim-jobs.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deleteHeadServer } from "../../manager/operations/delete-head-server.js";
import { deletePhysicalDisk } from "../../manager/operations/delete-physical-disk.js";
import { deleteStorageServer } from "../../manager/operations/delete-storage-server.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { dropUnaskedMembers } from "../../manager/operations/drop-unasked-members.js";
import { failAttach, finishAttach, finishUndo, giveUpAttach } from "../../manager/operations/end-attach.js";
import { closeDetached, finishDetach, refuseDetach } from "../../manager/operations/end-detach.js";
import {
  endIdleMaintenance,
  failMaintenance,
  finishMaintenance,
} from "../../manager/operations/end-maintenance.js";
import {
  beginTakingSnapshot,
  finishSnapshot,
  finishSnapshotDeletion,
  finishSnapshotUndo,
  giveUpSnapshot,
  refuseSnapshotDeletion,
} from "../../manager/operations/end-snapshot.js";
import {
  evacuatePhysicalDisk,
  evacuateStorageServer,
  recordEvacuated,
} from "../../manager/operations/evacuate.js";
import { notifyRebuildMirrorFinished, notifyShredFinished } from "../../manager/operations/hasten-job.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { listHeadServers } from "../../manager/operations/list-head-servers.js";
import { listJobs } from "../../manager/operations/list-jobs.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { listPhysicalDisks } from "../../manager/operations/list-physical-disks.js";
import { listStorageServers } from "../../manager/operations/list-storage-servers.js";
import { listVolumes, showVolume } from "../../manager/operations/list-volumes.js";
import { notifyBadBlocks } from "../../manager/operations/notify-bad-blocks.js";
import { notifyFailure } from "../../manager/operations/notify-failure.js";
import { registerPhysicalDisk } from "../../manager/operations/register-physical-disk.js";
import { registerStorageServer } from "../../manager/operations/register-storage-server.js";
import {
  getMirror,
  reportMemberFailure,
  reportMemberInSync,
} from "../../manager/operations/report-member.js";
import { reportSnapshotFailure } from "../../manager/operations/report-snapshot.js";
import { finishResync, readResync, retryResync } from "../../manager/operations/resync-member.js";
import { beginShreds, finishShred, readShred } from "../../manager/operations/shred-extent.js";
import { shutdownAll } from "../../manager/operations/shutdown-all.js";
import { cancelJob, retryWaitingJob } from "../../manager/operations/steer-job.js";
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import type { JobRow } from "../../manager/store/jobs.js";
import { VasError } from "../../shared/errors.js";
import { linearOf } from "../../shared/layout-tree.js";
import { FailureTarget } from "../../shared/states.js";
import { soundCopies } from "./copies.js";
import { type State, sectorsOf } from "./state.js";

export const SERVERS = 5;
export const HEADS = 2;

/** A walk over the state: every step is a call, a report, an agent's answer or a duty, in any order and at any time. */
export class Walk {
  #held: JobRow[] = [];
  #names = 0;

  constructor(
    readonly state: State,
    /** A number from 0 to below the bound, the same for the same seed. */
    readonly pick: (bound: number) => number,
  ) {}

  readonly steps: readonly (() => Promise<unknown>)[] = [
    () => this.#create(),
    () => this.#create(),
    async () => this.state.run(deleteVolume, { lvolid: await this.#volume() }),
    async () => this.state.run(beginAttach, { lvolid: await this.#volume(), hsvrid: await this.#head() }),
    async () => this.state.run(beginAttach, { lvolid: await this.#volume(), hsvrid: await this.#head() }),
    async () => this.state.run(beginDetach, { lvolid: await this.#volume() }),
    () => this.#maintain(),
    () => this.#maintain(),
    async () => {
      const lvolid = await this.#volume();
      return this.state.run(endIdleMaintenance, { lvolid, wanted: this.pick(2) === 0 });
    },
    () => this.#snapshot(),
    () => this.#snapshot(),
    () => this.#loseSnapshot(),
    () => this.#claim(),
    () => this.#claim(),
    () => this.#answer(),
    () => this.#answer(),
    () => this.#answer(),
    () => this.#report(),
    () => this.#report(),
    () => this.#heal(),
    () => this.#heal(),
    () => this.state.run(beginShreds, {}),
    () => this.#fail(),
    () => this.#comeBack(),
    async () => this.state.run(markSilent, { kind: "storage", id: await this.#server() }),
    async () => this.state.run(markHeard, { kind: "storage", id: await this.#server() }),
    () => this.#delete(),
    () => this.#delete(),
    () => this.#badBlocks(),
    () => this.#steer(),
    () => this.#evacuate(),
    () => this.#evacuate(),
    () => this.state.run(recordEvacuated, {}),
    () => this.#hasten(),
    () => (this.pick(3) === 0 ? this.state.run(shutdownAll, {}) : this.#comeBack()),
  ];

  async #maintain(): Promise<unknown> {
    const silentTooLong = new Set(this.pick(2) === 0 ? [await this.#server()] : []);
    return this.state.run(beginMaintenance, { lvolid: await this.#volume(), silentTooLong });
  }

  async #server(): Promise<number> {
    const servers = await this.state.run(listStorageServers, {});
    return servers[this.pick(Math.max(1, servers.length))]?.ssvrid ?? 999;
  }

  async #head(): Promise<number> {
    const heads = await this.state.run(listHeadServers, {});
    return heads[this.pick(Math.max(1, heads.length))]?.hsvrid ?? 999;
  }

  async #disk(): Promise<{ readonly pdskid: number; readonly ssvrid: number }> {
    const disks = await this.state.run(listPhysicalDisks, {});
    return disks[this.pick(Math.max(1, disks.length))] ?? { pdskid: 999, ssvrid: 999 };
  }

  /** Something that is out of use goes for good; some of it is reported as failed just before. */
  async #delete(): Promise<unknown> {
    const fails = this.pick(3) !== 0;
    const { PDSK, SSVR, HSVR } = FailureTarget;
    const target = [PDSK, PDSK, SSVR, SSVR, HSVR][this.pick(5)] ?? PDSK;
    const targetid = await this.#target(target);
    if (fails) await this.state.run(notifyFailure, { target, targetid });
    if (target === PDSK) return this.state.run(deletePhysicalDisk, { pdskid: targetid });
    if (target === SSVR) return this.state.run(deleteStorageServer, { ssvrid: targetid });
    return this.state.run(deleteHeadServer, { hsvrid: targetid });
  }

  /** A person ends a job, or wants it now. Its handler has noticed that before anyone takes it up again. */
  async #steer(): Promise<void> {
    const jobs = await this.state.run(listJobs, { all: this.pick(3) === 0, progressOf: () => -1 });
    const jobid = jobs[this.pick(Math.max(1, jobs.length))]?.jobid ?? 999;
    await this.state.run(retryWaitingJob, { jobid }).catch(ignoreRefusal);
    const isCancelled = await this.state.run(cancelJob, { jobid });
    if (isCancelled) this.#held = this.#held.filter((job) => job.jobid !== jobid);
  }

  /** A person wants a disk or a server empty, or in use after all: both as often, or there is soon no room. */
  async #evacuate(): Promise<unknown> {
    const cancel = this.pick(2) === 0;
    if (this.pick(2) === 0)
      return this.state.run(evacuateStorageServer, { ssvrid: await this.#server(), cancel });
    const { pdskid } = await this.#disk();
    return this.state.run(evacuatePhysicalDisk, { pdskid, cancel });
  }

  async #badBlocks(): Promise<unknown> {
    const { pdskid } = await this.#disk();
    // Such a disk takes nothing new for good: rarely, or there is soon no room.
    if (this.pick(3) !== 0) return undefined;
    return this.state.run(notifyBadBlocks, { pdskid, blocks: [this.pick(42), this.pick(40)] });
  }

  /** Someone says that work has ended, of which that may be true or not. */
  async #hasten(): Promise<void> {
    await this.state.run(notifyShredFinished, { dextid: 1 + this.pick(60) });
    const dexts = [{ dextid: 1 + this.pick(60), dext_status: this.pick(7) }];
    await this.state.run(notifyRebuildMirrorFinished, { mirrorid: 1 + this.pick(60), dexts });
  }

  async #volume(): Promise<number> {
    const volumes = await this.state.run(listVolumes, {});
    return volumes[this.pick(Math.max(1, volumes.length))]?.lvolid ?? 999;
  }

  #create(): Promise<number> {
    this.#names += 1;
    const params = { lvolname: `v${this.#names}`, capacity: 1 + this.pick(12), redundancy: 2 + this.pick(2) };
    return this.state.run(createVolume, params);
  }

  async #snapshot(): Promise<unknown> {
    this.#names += 1;
    const params = { origin_lvolid: await this.#volume(), snapshot_lvolname: `s${this.#names}` };
    return this.state.run(createSnapshot, params);
  }

  /** A head can't keep a snapshot. */
  async #loseSnapshot(): Promise<unknown> {
    const snapshots = (await this.state.run(listVolumes, {})).filter((row) => row.snapshot_status !== "");
    const snapshot = snapshots[this.pick(Math.max(1, snapshots.length))];
    const [origin] = snapshot?.associated_to ?? [];
    if (snapshot === undefined || origin === undefined) return undefined;
    const ref = { lvolid: origin.lvolid, epoch: 1 + this.pick(3), snapshot_lvolid: snapshot.lvolid };
    return this.state.run(reportSnapshotFailure, { ...ref, reason: "its space failed" });
  }

  async #claim(): Promise<void> {
    this.state.now += this.pick(5_000);
    this.#held.push(...(await this.state.claimAll()));
  }

  /** An agent ends a piece of work, well or badly. */
  async #answer(): Promise<void> {
    const job = this.#held.splice(this.pick(Math.max(1, this.#held.length)), 1)[0];
    if (job === undefined) return;
    const ref = { jobid: job.jobid, lvolid: job.subject };
    const error = new VasError("EIO", "the agent says so");
    const well = this.pick(4) !== 0;
    const later = {
      jobid: job.jobid,
      attempts: job.attempts + 1,
      error: "later",
      runAt: this.state.now + 100,
    };
    switch (job.kind) {
      case "attach":
        if (job.phase === "undo") return this.state.run(finishUndo, { ...ref, error });
        if (this.pick(3) === 0)
          await this.state.run(dropUnaskedMembers, { ...ref, ssvrids: [1 + this.pick(SERVERS)] });
        if (well) return this.state.run(finishAttach, ref);
        if (JSON.parse(job.payload).maintenance) return this.state.run(failMaintenance, { ...ref, error });
        if (this.pick(2) === 0) return this.state.run(failAttach, { ...ref, error });
        this.#held.push(await this.state.run(giveUpAttach, { ...ref, error }));
        return;
      case "detach":
        if (!well) return this.state.run(refuseDetach, { ...ref, error });
        await this.state.run(closeDetached, ref);
        return this.state.run(finishDetach, ref);
      case "fence":
        if (!well) return this.state.run(retryJob, later);
        if (this.pick(2) === 0)
          await this.state.run(dropUnaskedMembers, { ...ref, ssvrids: [1 + this.pick(SERVERS)] });
        return this.state.run(finishDetach, ref);
      case "end-maintenance": {
        const { epoch } = JSON.parse(job.payload);
        if (!well) return this.state.run(retryJob, later);
        const unreached = [1 + this.pick(SERVERS)];
        return this.state.run(finishMaintenance, { ...ref, epoch, unreached });
      }
      case "create-snapshot":
        if (job.phase === "undo") return this.state.run(finishSnapshotUndo, { ...ref, error });
        if (this.pick(2) === 0) await this.state.run(beginTakingSnapshot, ref);
        if (well) return this.state.run(finishSnapshot, ref);
        this.#held.push(await this.state.run(giveUpSnapshot, { ...ref, error }));
        return;
      case "delete-snapshot":
        if (!well && this.pick(2) === 0) return this.state.run(retryJob, later);
        if (!well) return this.state.run(refuseSnapshotDeletion, { ...ref, error });
        return this.state.run(finishSnapshotDeletion, ref);
      case "resync":
        return this.#answerResync(job, well);
      default: {
        const plan = await this.state.run(readShred, { dextid: job.subject });
        if (!well || plan === undefined) return this.state.run(retryJob, later);
        const { jobid, subject: dextid } = job;
        return this.state.run(finishShred, { jobid, dextid, generation: plan.generation });
      }
    }
  }

  async #answerResync(job: JobRow, well: boolean): Promise<void> {
    const { jobid, subject: dextid } = job;
    const plan = await this.state.run(readResync, { dextid });
    const error = new VasError("EIO", "the copy failed");
    const later = {
      jobid,
      dextid,
      error,
      attempts: job.attempts + 1,
      runAt: this.state.now,
      counts: true,
    };
    if (plan === undefined || !well) return this.state.run(retryResync, later);
    if (plan !== "insync") {
      const { mirrorid, volume, remove } = plan;
      const { ids, redundancy } = await soundCopies(this.state, mirrorid);
      // What nobody declared lost is let go only when there are enough others.
      if (remove !== undefined && ids.includes(remove.lvolid)) expect(ids.length).toBeGreaterThan(redundancy);
      const ref = { lvolid: volume.lvolid, epoch: volume.epoch, mirrorid };
      let { version } = plan;
      if (remove !== undefined && this.pick(4) !== 0)
        ({ version } = await this.state.run(reportMemberFailure, { ...ref, dextid: remove.lvolid, version }));
      await this.state.run(reportMemberInSync, { ...ref, dextid, version });
    }
    return this.state.run(finishResync, { jobid, dextid });
  }

  /** A head reports a member of one of its mirrors, with the version it knows or a past one. */
  async #report(): Promise<void> {
    const [volume] = await this.state.run(listVolumes, { lvolid: await this.#volume() });
    if (volume === undefined) return;
    const tree = await this.state.run(showVolume, { lvolid: volume.lvolid });
    const mirrors = linearOf(tree).components;
    const mirror = mirrors[this.pick(mirrors.length)];
    const extent = mirror?.components[this.pick(mirror.components.length)];
    if (mirror === undefined || extent === undefined) return;
    const lvolid = volume.associated_to[0]?.lvolid ?? volume.lvolid;
    const ref = { lvolid, epoch: 1 + this.pick(3), mirrorid: mirror.lvolid };
    const { version } = await this.state.run(getMirror, ref);
    const report = { ...ref, dextid: extent.lvolid, version: version - (this.pick(4) === 0 ? 1 : 0) };
    await this.state.run(this.pick(3) === 0 ? reportMemberInSync : reportMemberFailure, report);
  }

  async #heal(): Promise<void> {
    const { mirrorids, servers } = await this.state.run(listMirrorsToHeal, {});
    const silent = servers
      .filter((server) => server.silent === 1 && this.pick(2) === 0)
      .map((server) => server.ssvrid);
    for (const mirrorid of mirrorids) {
      const before = await soundCopies(this.state, mirrorid);
      await this.state.run(healMirror, { mirrorid, silentTooLong: new Set(silent) });
      const after = await soundCopies(this.state, mirrorid);
      const least = Math.min(before.count, before.redundancy);
      expect(after.count, `sound copies of mirror ${mirrorid} that healing left`).toBeGreaterThanOrEqual(
        least,
      );
    }
  }

  async #fail(): Promise<unknown> {
    const target = 1 + this.pick(4);
    const targetid = await this.#target(target);
    // A disk that is reported stays out for good: rarely, or nothing is left to walk on.
    if (target === FailureTarget.PDSK && this.pick(4) !== 0) return undefined;
    return this.state.run(notifyFailure, { target, targetid });
  }

  async #target(target: number): Promise<number> {
    if (target === FailureTarget.HSVR) return this.#head();
    if (target === FailureTarget.SSVR) return this.#server();
    return target === FailureTarget.PDSK ? (await this.#disk()).pdskid : 1 + this.pick(60);
  }

  async #comeBack(): Promise<void> {
    const number = 1 + this.pick(SERVERS);
    const ssvrid = await this.state.run(registerStorageServer, {
      ip_data: [`10.2.0.${number}`],
      boot_id: "again",
      starting: this.pick(3) !== 0,
    });
    await this.state.addHead(1 + this.pick(HEADS));
    const disk = { ssvrid, local_path: "/dev/sdb", capacity: sectorsOf(40) };
    const [known] = await this.state.run(listPhysicalDisks, { ssvrid });
    await this.state.run(
      registerPhysicalDisk,
      known === undefined ? disk : { ...disk, pdskid: known.pdskid },
    );
  }
}

function ignoreRefusal(error: unknown): void {
  if (!(error instanceof VasError)) throw error;
}
