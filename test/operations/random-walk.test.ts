import fc from "fast-check";
import { expect, test } from "vitest";
import { beginAttach } from "../../manager/operations/begin-attach.js";
import { beginDetach } from "../../manager/operations/begin-detach.js";
import { retryJob } from "../../manager/operations/claim-jobs.js";
import { createSnapshot } from "../../manager/operations/create-snapshot.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { deleteVolume } from "../../manager/operations/delete-volume.js";
import { dropUnaskedMembers } from "../../manager/operations/drop-unasked-members.js";
import { failAttach, finishAttach, finishUndo, giveUpAttach } from "../../manager/operations/end-attach.js";
import { closeDetached, finishDetach, refuseDetach } from "../../manager/operations/end-detach.js";
import {
  beginTakingSnapshot,
  finishSnapshot,
  finishSnapshotDeletion,
  finishSnapshotUndo,
  giveUpSnapshot,
  refuseSnapshotDeletion,
} from "../../manager/operations/end-snapshot.js";
import { healMirror } from "../../manager/operations/heal-mirror.js";
import { JobGone } from "../../manager/operations/held-job.js";
import { listMirrorsToHeal } from "../../manager/operations/list-mirrors-to-heal.js";
import { listVolumes, showVolume } from "../../manager/operations/list-volumes.js";
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
import { markHeard, markSilent } from "../../manager/operations/watch-servers.js";
import type { JobRow } from "../../manager/store/jobs.js";
import { VasError } from "../../shared/errors.js";
import { linearOf } from "../../shared/layout-tree.js";
import { FailureTarget, MemberStatus } from "../../shared/states.js";
import { State, sectorsOf } from "./state.js";

const SERVERS = 5;
const HEADS = 2;
const RUNS = 12;
const STEPS = 80;
/** Steps between two looks at the whole state. */
const LOOK = 8;

/** A walk over the state: every step is a call, a report, an agent's answer or a duty, in any order and at any time. */
class Walk {
  readonly #held: JobRow[] = [];
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
    async () => this.state.run(beginAttach, { lvolid: await this.#volume(), hsvrid: 1 + this.pick(HEADS) }),
    async () => this.state.run(beginAttach, { lvolid: await this.#volume(), hsvrid: 1 + this.pick(HEADS) }),
    async () => this.state.run(beginDetach, { lvolid: await this.#volume() }),
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
    () => this.state.run(markSilent, { kind: "storage", id: 1 + this.pick(SERVERS) }),
    () => this.state.run(markHeard, { kind: "storage", id: 1 + this.pick(SERVERS) }),
  ];

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
        const { jobid, eventid, subject: dextid } = job;
        return this.state.run(finishShred, { jobid, eventid, dextid, generation: plan.generation });
      }
    }
  }

  async #answerResync(job: JobRow, well: boolean): Promise<void> {
    const { jobid, eventid, subject: dextid } = job;
    const plan = await this.state.run(readResync, { dextid });
    const error = new VasError("EIO", "the copy failed");
    const later = {
      jobid,
      eventid,
      dextid,
      error,
      attempts: job.attempts + 1,
      runAt: this.state.now,
      counts: true,
    };
    if (plan === undefined || !well) return this.state.run(retryResync, later);
    if (plan !== "insync") {
      const { mirrorid, volume } = plan;
      const report = { lvolid: volume.lvolid, epoch: volume.epoch, mirrorid, dextid, version: plan.version };
      await this.state.run(reportMemberInSync, report);
    }
    return this.state.run(finishResync, { jobid, eventid, dextid });
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
    for (const mirrorid of mirrorids)
      await this.state.run(healMirror, { mirrorid, silentTooLong: new Set(silent) });
  }

  async #fail(): Promise<unknown> {
    const target = 1 + this.pick(4);
    const bounds = new Map([
      [FailureTarget.HSVR, HEADS],
      [FailureTarget.SSVR, SERVERS],
      [FailureTarget.PDSK, SERVERS],
    ] as [number, number][]);
    const targetid = 1 + this.pick(bounds.get(target) ?? 60);
    // A disk that is reported stays out for good: rarely, or nothing is left to walk on.
    if (target === FailureTarget.PDSK && this.pick(4) !== 0) return undefined;
    return this.state.run(notifyFailure, { target, targetid });
  }

  async #comeBack(): Promise<void> {
    const number = 1 + this.pick(SERVERS);
    const ssvrid = await this.state.run(registerStorageServer, {
      ip_data: [`10.2.0.${number}`],
      boot_id: "again",
    });
    await this.state.run(registerPhysicalDisk, {
      ssvrid,
      local_path: "/dev/sdb",
      capacity: sectorsOf(40),
      pdskid: number,
    });
    await this.state.addHead(1 + this.pick(HEADS));
  }
}

/** Every mirror that was ever written has a good copy (D3). */
async function assertCopies(state: State): Promise<void> {
  for (const { lvolid } of await state.run(listVolumes, {})) {
    const tree = await state.run(showVolume, { lvolid });
    for (const mirror of linearOf(tree).components) {
      const statuses = mirror.components.map((extent) => extent.mirror_status);
      const untouched = statuses.every((status) => status === MemberStatus.ALLOCATED);
      expect(
        untouched || statuses.includes(MemberStatus.INSYNC),
        `mirror ${mirror.lvolid}: ${statuses.join()}`,
      ).toBe(true);
    }
  }
}

test("whatever is called, reported and answered, in any order, the state stays consistent and no last copy is dropped", async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(), { minLength: 150, maxLength: 400 }), async (numbers) => {
      const state = await State.open();
      for (let number = 1; number <= SERVERS; number += 1) await state.addServer(number, 40);
      for (let number = 1; number <= HEADS; number += 1) await state.addHead(number);
      let at = 0;
      const walk = new Walk(state, (bound) => (numbers[at++ % numbers.length] ?? 0) % bound);
      for (let step = 0; step < STEPS; step += 1) {
        const act = walk.steps[walk.pick(walk.steps.length)];
        try {
          await act?.();
        } catch (error) {
          if (!(error instanceof VasError) && !(error instanceof JobGone)) throw error;
        }
        if (step % LOOK === LOOK - 1) expect(await state.findings()).toEqual([]);
      }
      await assertCopies(state);
      await state.close();
    }),
    { numRuns: RUNS },
  );
});
