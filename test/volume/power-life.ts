import { setTimeout as pause } from "node:timers/promises";
import { expect } from "vitest";
import { MemberStatus } from "../../shared/states.js";
import { GIB, MIB } from "../../shared/units.js";
import type { NbdClient } from "../harness/nbd-client.js";
import { randomData } from "../harness/random-data.js";
import { SectorModel } from "../harness/sector-model.js";
import { waitUntil } from "../harness/wait-until.js";
import { generator } from "./generator.js";
import { Rig } from "./rig.js";

const KIB = 1024;
const SECTOR = 512;
const LANES = 3;
const DISKS = [0, 1, 2] as const;
/** Where the volume is written: at its ends, within a region and across the boundary of two. Each lane has a third. */
const WINDOWS = [
  { offset: 0, length: 96 * KIB },
  { offset: 16 * MIB - 48 * KIB, length: 96 * KIB },
  { offset: 300 * MIB + 4 * KIB, length: 48 * KIB },
  { offset: GIB - 48 * KIB, length: 48 * KIB },
] as const;
const MOST_CHANGES = 40;
const LONGEST = 16 * KIB;
/** So long after its start the volume process copies, or serves already. */
const RECOVERY_MS = 600;

type Below = (below: number) => number;

/** A volume of three members, with snapshots, whose disks lose power again and again. */
export class PowerLife {
  /** What was done, for the report of a failure. */
  readonly steps: string[] = [];
  readonly #model = new SectorModel();
  /** Snapshots that there are, with what each window holds there. */
  readonly #snapshots = new Map<number, readonly Buffer[]>();
  #changes = 0;

  private constructor(readonly rig: Rig) {}

  static async create(): Promise<PowerLife> {
    const options = { losesPower: true, memberTimeoutMs: 20_000, snapshotTimeoutMs: 120_000 };
    const life = new PowerLife(await Rig.create({ ...options, snapshots: [[...DISKS], [1]] }));
    await life.rig.attach();
    return life;
  }

  /** The volume is used, and somewhere in the middle power is lost. */
  async run(seed: number): Promise<void> {
    const random = generator(seed);
    this.steps.length = 0;
    if (random(3) === 0) await this.#changeSnapshots(random);
    const cut = [this.#cutHead, this.#cutHead, this.#cutStorage, this.#cutDetached][random(4)];
    const client = await this.rig.open();
    await cut?.call(this, random, this.#use(client, random, random(1 << 30)));
    await client.close();
    await this.#verifySnapshots();
    await this.#resyncAll();
    await this.#compareMembers();
  }

  /** Power is lost with the head, by some storage servers or all; and perhaps once more during recovery. */
  async #cutHead(random: Below, use: Use): Promise<void> {
    const { rig } = this;
    const victims = DISKS.filter(() => random(3) > 0);
    await use.reached;
    await Promise.all([rig.volume?.kill(), ...victims.map((disk) => this.#cut(disk, random))]);
    await use.ended;
    await this.#restart(victims);
    if (random(3) > 0) await rig.attach();
    else await this.#attachWithCut(random);
    await this.#verifyAfterLoss();
  }

  async #attachWithCut(random: Below): Promise<void> {
    const { rig } = this;
    const victim = random(DISKS.length);
    rig.launch();
    await pause(random(RECOVERY_MS));
    await this.#cut(victim, random);
    await this.#restart([victim]);
    await waitUntil("the volume is served", async () => (await rig.status()).state === "serving");
  }

  /** One or two storage servers lose power while the volume goes on. Who lost something is in sync no more. */
  async #cutStorage(random: Below, use: Use): Promise<void> {
    const { rig } = this;
    const spared = random(DISKS.length);
    const victims = DISKS.filter((disk) => disk !== spared).slice(random(2));
    const before = victims.map((disk) => this.#restartsSeen(disk));
    await use.reached;
    await Promise.all(victims.map((disk) => this.#cut(disk, random)));
    await this.#restart(victims);
    expect(await use.ended).toEqual([]);
    await use.client.flush();
    for (const [at, disk] of victims.entries()) {
      await waitUntil("the head has noticed", async () => {
        return this.#restartsSeen(disk) > (before[at] ?? 0) || (await rig.memberState(0, disk)) === "out";
      });
    }
    await this.#verifyLatest();
    await this.#compareMembers();
  }

  /** Power is lost after the volume was detached. */
  async #cutDetached(random: Below, use: Use): Promise<void> {
    const { rig } = this;
    expect(await use.ended).toEqual([]);
    await use.client.close();
    await rig.control("detach", {});
    expect(await rig.volume?.exited).toBe(0);
    await Promise.all(DISKS.map((disk) => this.#cut(disk, random)));
    await this.#restart(DISKS);
    await rig.attach();
    await this.#verifyLatest();
    await this.#verifyAfterLoss();
  }

  async #cut(disk: number, random: Below): Promise<void> {
    // A stream of its own: disks are cut at the same time.
    const { unflushed, lost } = await this.rig.disk(disk).cutPower(generator(random(1 << 30)));
    this.steps.push(`disk ${disk} loses power: ${lost} of ${unflushed} unflushed sectors are gone`);
  }

  async #restart(disks: readonly number[]): Promise<void> {
    await Promise.all(disks.map((disk) => this.rig.startDisk(this.rig.disk(disk))));
  }

  #restartsSeen(disk: number): number {
    const name = `pdsk-${this.rig.disk(disk).pdskid.toString(16).padStart(8, "0")}`;
    return this.rig.log.split(`the server of ${name} was restarted`).length;
  }

  #use(client: NbdClient, random: Below, data: number): Use {
    // Bits are set by the first changes: often power is lost just then.
    const goal = this.#changes + 1 + random(random(2) === 0 ? LANES : MOST_CHANGES);
    const failures: unknown[] = [];
    const lanes = Array.from({ length: LANES }, (_, lane) =>
      this.#writeLane(client, lane, generator(data + lane)).catch((error: unknown) => failures.push(error)),
    );
    const ended = Promise.all(lanes).then(() => failures);
    const reached = waitUntil("it was written", () => this.#changes >= goal || failures.length > 0);
    // Who waits for the end alone does not wait for this.
    reached.catch(() => undefined);
    return { client, reached, ended };
  }

  async #writeLane(client: NbdClient, lane: number, random: Below): Promise<void> {
    for (let turn = 0; turn < MOST_CHANGES; turn += 1) {
      const kind = random(12);
      if (kind === 0) await this.#flush(client);
      else await this.#change(client, lane, kind, random);
      this.#changes += 1;
    }
  }

  async #flush(client: NbdClient): Promise<void> {
    const succeeded = this.#model.flush();
    await client.flush();
    succeeded();
    this.steps.push("flushed");
  }

  async #change(client: NbdClient, lane: number, kind: number, random: Below): Promise<void> {
    const window = WINDOWS[random(WINDOWS.length)] ?? WINDOWS[0];
    const third = window.length / LANES;
    const length = SECTOR * (1 + random(Math.min(third, LONGEST) / SECTOR));
    const offset = window.offset + lane * third + SECTOR * random((third - length) / SECTOR + 1);
    const name = ["", "trim", "zero"][kind] ?? "write";
    const bytes = name === "write" ? randomData(`${this.#changes} ${lane}`, length) : Buffer.alloc(length);
    const fua = random(4) === 0;
    const change = this.#model.begin(offset, bytes);
    if (name === "trim") await client.trim(offset, length, { fua });
    else if (name === "zero") await client.zero(offset, length, { fua });
    else await client.write(offset, bytes, { fua });
    this.#model.acknowledge(change, fua);
    this.steps.push(`${name} ${offset}+${length}${fua ? " FUA" : ""}`);
  }

  async #changeSnapshots(random: Below): Promise<void> {
    const snapshot = random(2);
    if (this.#snapshots.delete(snapshot)) {
      await this.rig.deleteSnapshot(snapshot);
      this.steps.push(`snapshot ${snapshot} is deleted`);
      return;
    }
    const succeeded = this.#model.flush();
    await this.rig.createSnapshot(snapshot);
    succeeded();
    this.#snapshots.set(
      snapshot,
      WINDOWS.map(({ offset, length }) => this.#model.latest(offset, length)),
    );
    this.steps.push(`snapshot ${snapshot} is taken`);
  }

  async #verifyAfterLoss(): Promise<void> {
    const client = await this.rig.open();
    for (const { offset, length } of WINDOWS)
      expect(this.#model.afterPowerLoss(offset, await client.read(offset, length))).toBeUndefined();
    await client.close();
  }

  async #verifyLatest(): Promise<void> {
    const client = await this.rig.open();
    for (const { offset, length } of WINDOWS) {
      const isLatest = (await client.read(offset, length)).equals(this.#model.latest(offset, length));
      expect(isLatest, `what is read at ${offset} is what was written last`).toBe(true);
    }
    await client.close();
  }

  async #verifySnapshots(): Promise<void> {
    expect(this.rig.manager.snapshotReports).toEqual([]);
    for (const [snapshot, contents] of this.#snapshots) {
      const client = await this.rig.openSnapshot(snapshot);
      for (const [at, { offset, length }] of WINDOWS.entries()) {
        const isKept = (await client.read(offset, length)).equals(contents[at] ?? Buffer.alloc(0));
        expect(isKept, `snapshot ${snapshot} holds at ${offset} what it held`).toBe(true);
      }
      await client.close();
    }
  }

  /** Mirrors of the volume and of the snapshots that there are, with their disks. */
  #mirrors(): { readonly mirror: number; readonly disks: readonly number[] }[] {
    const spaces = [...this.#snapshots.keys()].flatMap((snapshot) => [
      { mirror: this.rig.spaceMirror(snapshot, 0), disks: this.rig.options.snapshots[snapshot] ?? [] },
      { mirror: this.rig.spaceMirror(snapshot, 1), disks: this.rig.options.snapshots[snapshot] ?? [] },
    ]);
    return [{ mirror: 0, disks: DISKS }, ...spaces];
  }

  async #resyncAll(): Promise<void> {
    for (const { mirror, disks } of this.#mirrors()) {
      for (const disk of disks)
        if (!this.#isInSync(mirror, disk)) {
          this.steps.push(`disk ${disk} of mirror ${mirror} is brought in sync`);
          await this.rig.resync(mirror, disk);
        }
    }
  }

  #isInSync(mirror: number, disk: number): boolean {
    const { manager } = this.rig;
    const id = this.rig.dextid(mirror, disk);
    return manager.statusOf(this.rig.mirrorid(mirror), id) === MemberStatus.INSYNC;
  }

  /** All members of the volume that count have the same bytes. */
  async #compareMembers(): Promise<void> {
    const disks = DISKS.filter((disk) => this.#isInSync(0, disk));
    for (const { offset, length } of WINDOWS) {
      const [first, ...others] = disks.map((disk) => this.rig.peek(0, disk, offset, length));
      const isEqual = first !== undefined && others.every((other) => other.equals(first));
      expect(isEqual, `members on disks ${disks.join(" ")} are equal at ${offset}`).toBe(true);
    }
  }
}

interface Use {
  readonly client: NbdClient;
  /** So much has been written. */
  readonly reached: Promise<unknown>;
  /** Nothing is under way any more. What failed. */
  readonly ended: Promise<readonly unknown[]>;
}
