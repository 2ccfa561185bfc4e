import { stat } from "node:fs/promises";
import { describeError, VasError } from "../../../shared/errors.js";
import { showDisk } from "../../../shared/ids.js";
import { ownerTag, serverName, targetName } from "../../../shared/iscsi-names.js";
import type { Log } from "../../../shared/log.js";
import type { Chap } from "../../../shared/methods/agent-methods.js";
import { createDevices, type DmTable } from "../../common/device-mapper.js";
import type { DataPlane, ExportEndpoint, VerifiedDisk } from "../data-plane.js";
import { DiskRefusedError, type OpenDisk, showDeviceNumber } from "../disks.js";
import type { GrantsDocument } from "../grants.js";
import { prepareTargets } from "./configfs.js";
import { type FoundTarget, findBackstores, findTargets } from "./find-targets.js";
import { raiseUnit } from "./raise-unit.js";
import { closeTarget, dropDevice, dropUnit } from "./take-down.js";
import { Turns } from "./turns.js";
import { type Unit, unitName } from "./unit.js";
import { findDevices, setTables, type UnitDevice } from "./unit-devices.js";
import { type DiskPlace, grantTable } from "./unit-table.js";

export interface KernelExportsOptions {
  readonly stateFolder: string;
  readonly iqnPrefix: string;
  readonly bootId: string;
  readonly addresses: readonly string[];
  readonly port: number;
  readonly grantsOf: (pdskid: number) => GrantsDocument;
  readonly log: Log;
}

/** A unit that is granted something, with the table that says so. */
interface WantedUnit {
  readonly unit: Unit;
  readonly name: string;
  readonly target: string;
  readonly table: DmTable;
  readonly chap: Chap | undefined;
}

/** What could not be offered, by volume. */
type Failures = ReadonlyMap<number, unknown>;

/**
 * The disks of a storage server as units of the kernel's iSCSI targets: for each epoch of a volume a target, in it
 * each disk that the epoch is granted something of, by way of a device-mapper device whose table is the grant.
 *
 * What there is, is what the kernel says: nothing is written down here, so a control process that was killed at any
 * instant leaves nothing that the next one does not find. For each disk the kernel's state is brought to what is
 * granted, in this order: tables first, as they decide what reaches the disk; then what is not wanted any more is
 * taken down, and if that takes long it is left to the next time; then what is missing is made.
 *
 * Known gap: nobody tells us of a disk that fails writes, as export processes do by ending. The heads notice, and
 * report the members on it one by one.
 */
export class KernelExports implements DataPlane {
  readonly #options: KernelExportsOptions;
  readonly #owner: string;
  readonly #server: string;
  readonly #disks = new Map<number, DiskPlace>();
  readonly #diskTurns = new Turns<number>();
  readonly #targetTurns = new Turns<string>();
  readonly #queued = new Map<number, Promise<Failures>>();

  private constructor(options: KernelExportsOptions) {
    this.#options = options;
    this.#owner = ownerTag(options.stateFolder);
    this.#server = serverName(options.iqnPrefix, options.stateFolder, options.bootId);
  }

  /** @throws VasError EPERM if there is no iSCSI target here, or we may not use it */
  static async open(options: KernelExportsOptions): Promise<KernelExports> {
    await prepareTargets();
    return new KernelExports(options);
  }

  check({ kind, path }: OpenDisk): void {
    if (kind === "block") return;
    throw new DiskRefusedError(
      `${path} is a file, and data_plane = kernel exports block devices; give it a loop device (losetup) and name that`,
    );
  }

  endpointOf(): ExportEndpoint {
    return { nbd_port: this.#options.port, iscsi_name: this.#server };
  }

  async ensure({ pdskid, path, bytes }: VerifiedDisk): Promise<void> {
    const { rdev } = await stat(path);
    this.#disks.set(pdskid, { number: showDeviceNumber(rdev), bytes });
    const [failure] = (await this.#bringInLine(pdskid)).values();
    if (failure !== undefined) throw failure;
  }

  async enforce(pdskid: number, lvolid?: number): Promise<void> {
    const failures = await this.#bringInLine(pdskid);
    if (lvolid === undefined || !failures.has(lvolid)) return;
    const cause = failures.get(lvolid);
    const sentence = `${showDisk(pdskid)} can't be offered now: ${describeError(cause)}`;
    throw new VasError("EAGAIN", sentence, { cause });
  }

  async end(pdskid: number): Promise<void> {
    this.#disks.delete(pdskid);
    await this.#bringInLine(pdskid);
  }

  /**
   * A disk that does not let go of what it was sent is logged, and does not keep the others from being served: whoever
   * has its grants enforced is refused until it has.
   *
   * @throws VasError EAGAIN if sessions of an earlier boot can't be ended: they must not go on (rule R5)
   */
  async endStrangers(): Promise<void> {
    const strangers = (await this.#foundDisks()).filter((pdskid) => !this.#disks.has(pdskid));
    for (const pdskid of strangers)
      this.#options.log.warn(`${showDisk(pdskid)} is not served by us any more, its export is ended`);
    await this.#endAll(strangers);
    const old = (await findTargets(this.#owner)).find(({ name }) => !name.startsWith(`${this.#server}.`));
    if (old === undefined) return;
    throw new VasError("EAGAIN", `sessions of ${old.name}, which is of an earlier boot, can't be ended now`);
  }

  async stopAll(): Promise<void> {
    this.#disks.clear();
    await this.#endAll(await this.#foundDisks());
  }

  release(): void {
    // The kernel needs nobody.
  }

  async #endAll(disks: readonly number[]): Promise<void> {
    const outcomes = await Promise.allSettled(disks.map((pdskid) => this.#bringInLine(pdskid)));
    for (const outcome of outcomes)
      if (outcome.status === "rejected") this.#options.log.error(describeError(outcome.reason));
    await this.#dropEmptyTargets(await findTargets(this.#owner));
  }

  /** Calls that come while one waits for its turn share it. @throws VasError EAGAIN */
  #bringInLine(pdskid: number): Promise<Failures> {
    const queued = this.#queued.get(pdskid);
    if (queued !== undefined) return queued;
    const next = this.#diskTurns.run(pdskid, () => {
      this.#queued.delete(pdskid);
      return this.#change(pdskid);
    });
    this.#queued.set(pdskid, next);
    return next;
  }

  async #change(pdskid: number): Promise<Failures> {
    const wanted = this.#wantedUnits(pdskid);
    const ours = ({ unit }: { readonly unit: Unit }): boolean => unit.pdskid === pdskid;
    const devices = (await findDevices(this.#owner)).filter(ours);
    const tables = new Map(wanted.map(({ name, table }) => [name, table]));
    await setTables(devices, tables, this.#options.log);

    const stale = new Set(devices.map(({ name }) => name));
    for (const unit of await findBackstores(this.#owner))
      if (unit.pdskid === pdskid) stale.add(unitName(this.#owner, unit));
    for (const { name } of wanted) stale.delete(name);
    await this.#takeDown(pdskid, wanted, [...stale]);

    const failures = new Map<number, unknown>();
    for (const unit of wanted) {
      try {
        await this.#raise(
          unit,
          devices.find(({ name }) => name === unit.name),
        );
      } catch (error) {
        failures.set(unit.unit.lvolid, error);
        this.#options.log.error({ err: error }, `${unit.target} can't offer ${showDisk(pdskid)}`);
      }
    }
    return failures;
  }

  #wantedUnits(pdskid: number): WantedUnit[] {
    const disk = this.#disks.get(pdskid);
    if (disk === undefined) return [];
    const { grants, revoked } = this.#options.grantsOf(pdskid);
    const isClosed = (lvolid: number, epoch: number): boolean =>
      revoked.some((closed) => closed.lvolid === lvolid && closed.epoch >= epoch);
    return grants
      .filter(({ lvolid, epoch }) => !isClosed(lvolid, epoch))
      .map(({ lvolid, epoch, chap, extents }) => {
        const unit = { lvolid, epoch, pdskid };
        return {
          unit,
          name: unitName(this.#owner, unit),
          target: targetName(this.#server, lvolid, epoch),
          table: grantTable(extents, disk),
          chap,
        };
      });
  }

  async #takeDown(pdskid: number, wanted: readonly WantedUnit[], stale: readonly string[]): Promise<void> {
    const targets = await findTargets(this.#owner);
    const kept = new Set(wanted.map(({ target }) => target));
    const left = targets.filter(({ name, disks }) => disks.includes(pdskid) && !kept.has(name));
    await Promise.all(
      left.map((target) =>
        this.#atTarget(target, () =>
          this.#isWanted(target) ? dropUnit(target.name, pdskid) : closeTarget(target.name, pdskid),
        ),
      ),
    );
    await Promise.all(stale.map((name) => this.#try(name, () => dropDevice(name))));
    await this.#dropEmptyTargets(targets);
  }

  #atTarget(target: FoundTarget, work: () => Promise<void>): Promise<void> {
    return this.#try(target.name, () => this.#targetTurns.run(target.name, work));
  }

  /** Takes something down; what can't be done now is left to the next time. */
  async #try(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      this.#options.log.warn(`${what} is closed, and can't be taken down now: ${describeError(error)}`);
    }
  }

  async #dropEmptyTargets(targets: readonly FoundTarget[]): Promise<void> {
    const empty = targets.filter(({ disks }) => disks.length === 0);
    await Promise.all(
      empty.map((target) =>
        this.#atTarget(target, async () => {
          if (!this.#isWanted(target)) await closeTarget(target.name);
        }),
      ),
    );
  }

  /** Whether any disk has something for those who log in to this target. */
  #isWanted({ name, lvolid, epoch }: FoundTarget): boolean {
    if (name !== targetName(this.#server, lvolid, epoch)) return false;
    return [...this.#disks.keys()].some((pdskid) =>
      this.#wantedUnits(pdskid).some(({ target }) => target === name),
    );
  }

  async #raise(
    { unit, name, target, table, chap }: WantedUnit,
    device: UnitDevice | undefined,
  ): Promise<void> {
    // One without a table was being made when we were killed.
    if (device?.table === "") await dropDevice(name);
    if (device === undefined || device.table === "") await createDevices([{ name, table }]);
    const { addresses, port } = this.#options;
    const portals = addresses.map((host) => `${host.includes(":") ? `[${host}]` : host}:${port}`);
    await this.#targetTurns.run(target, () => raiseUnit({ unit, name, target, portals, chap }));
  }

  /** The disks that anything in the kernel is made of. */
  async #foundDisks(): Promise<number[]> {
    const [devices, backstores, targets] = await Promise.all([
      findDevices(this.#owner),
      findBackstores(this.#owner),
      findTargets(this.#owner),
    ]);
    const found = [
      ...devices.map(({ unit }) => unit.pdskid),
      ...backstores.map(({ pdskid }) => pdskid),
      ...targets.flatMap(({ disks }) => disks),
    ];
    return [...new Set(found)];
  }
}
