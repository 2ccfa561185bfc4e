import { describeError, VasError } from "../../shared/errors.js";
import { MemberStatus } from "../../shared/states.js";
import { GIB } from "../../shared/units.js";
import { waitUntil } from "../harness/wait-until.js";
import type { Report } from "../volume/manager-stub.js";
import { rangesOf } from "./bitmaps.js";
import { type Change, type History, SECTOR } from "./history.js";
import type { Lane } from "./lane.js";
import { DISKS, MIRRORS, REDUNDANCY } from "./schedule.js";
import type { Statistics } from "./statistics.js";

export interface MembersOptions {
  readonly lane: Lane;
  readonly history: History;
  readonly statistics: Statistics;
  readonly note: (text: string) => void;
  readonly defect: (text: string) => void;
}

/** The members of the volume's mirrors as the manager lists them: what they must hold, and what is done with them. */
export class Members {
  /** Disks that may lack writes until that is noticed. */
  readonly suspects = new Set<number>();
  isLosingAnswers = false;
  readonly #options: MembersOptions;
  #accepted = 0;

  constructor(options: MembersOptions) {
    this.#options = options;
  }

  /** An acknowledged change is on every member that is listed as INSYNC (D1). @returns what is wrong */
  missing({ offset, bytes }: Change): string | undefined {
    return this.#unlike(offset, bytes.length, () => true);
  }

  /** The manager has accepted a report. */
  accepted({ method, mirrorid, dextid }: Report): void {
    const { lane, history, defect, statistics } = this.#options;
    this.#accepted += 1;
    if (method !== "getMirror") statistics.count("reports", method);
    const mirror = mirrorid - lane.rig.mirrorid(0);
    if (method === "reportMemberInSync" && mirror < MIRRORS) {
      for (const { start, length } of rangesOf(mirror)) {
        const wrong = this.#unlike(mirror * GIB + start, length, (id) => id === dextid);
        if (wrong !== undefined) defect(`member ${dextid} was reported in sync: ${wrong}`);
      }
    }
    history.now();
    if (this.isLosingAnswers && this.#accepted % 2 === 0) throw new VasError("EIO", "the answer was lost");
  }

  /** Compares what INSYNC members hold with what they may; sectors that are just being written are left out. */
  #unlike(offset: number, length: number, which: (dextid: number) => boolean): string | undefined {
    for (let at = offset; at < offset + length; ) {
      const mirror = Math.floor(at / GIB);
      const next = Math.min(offset + length, (mirror + 1) * GIB);
      const wrong = this.#unlikeIn(mirror, at, next, which);
      if (wrong !== undefined) return wrong;
      at = next;
    }
    return undefined;
  }

  #unlikeIn(
    mirror: number,
    start: number,
    end: number,
    which: (dextid: number) => boolean,
  ): string | undefined {
    const { lane, history } = this.#options;
    for (const dextid of lane.members(mirror, MemberStatus.INSYNC).filter(which)) {
      if (this.suspects.has(dextid % 100)) continue;
      const bytes = lane.peek(mirror, dextid % 100, start - mirror * GIB, end - start);
      const moment = { from: history.now(), to: Infinity };
      for (let at = start; at < end; ) {
        const next = Math.min(end, (Math.floor(at / SECTOR) + 1) * SECTOR);
        if (!history.isBusy(Math.floor(at / SECTOR))) {
          const wrong = history.check(at, bytes.subarray(at - start, next - start), moment);
          if (wrong !== undefined) return `INSYNC member ${dextid} of mirror ${mirror}: ${wrong}`;
        }
        at = next;
      }
    }
    return undefined;
  }

  /** Brings one of the dropped members in sync, of the volume or of a copy-on-write space. */
  async resyncOne(pick: number): Promise<void> {
    const { lane, note } = this.#options;
    const mirrors = Array.from({ length: MIRRORS }, (_, mirror) => mirror);
    for (let snapshot = 0; snapshot < lane.nextSnapshot; snapshot += 1) {
      if (lane.rig.manager.snapshots.get(lane.rig.snapshotId(snapshot)) === true)
        mirrors.push(...lane.spaceMirrors(snapshot));
    }
    const dropped = mirrors.flatMap((mirror) =>
      lane.members(mirror, MemberStatus.SPARE).map((dextid) => ({ mirror, dextid })),
    );
    const chosen = dropped[pick % Math.max(1, dropped.length)];
    if (chosen === undefined) note("(nobody is out of sync)");
    else await this.#tryResync(chosen.mirror, chosen.dextid);
  }

  async #tryResync(mirror: number, dextid: number): Promise<boolean> {
    const { note, statistics } = this.#options;
    try {
      await this.#bring(mirror, dextid);
      statistics.count("answers", "resynced");
      note(`member ${dextid} of mirror ${mirror} is in sync`);
      return true;
    } catch (error) {
      note(`resync of ${dextid}: ${describeError(error)}`);
      return false;
    }
  }

  #bring(mirror: number, add: number, remove?: number): Promise<unknown> {
    const { rig } = this.#options.lane;
    const version = rig.manager.mirrors.get(rig.mirrorid(mirror))?.version ?? 0;
    const node = (dextid: number, status: MemberStatus) => rig.extent(mirror, dextid % 100, status, dextid);
    return rig.control("replaceMember", {
      mirrorid: rig.mirrorid(mirror),
      version,
      add: node(add, MemberStatus.SPARE),
      remove: remove === undefined ? null : node(remove, MemberStatus.INSYNC),
    });
  }

  /** Has another extent take the place of a member: of a dropped one, or of one that is in use until then. */
  async replace(pick: number, isLive: boolean): Promise<void> {
    const { lane, note, statistics } = this.#options;
    const mirror = pick % MIRRORS;
    const row = this.#row(mirror);
    const used = new Set([...row.keys()].map((dextid) => dextid % 100));
    const disk = Array.from({ length: DISKS }, (_, at) => at).find((at) => !used.has(at));
    const dropped = lane.members(mirror, MemberStatus.SPARE);
    const insync = lane.members(mirror, MemberStatus.INSYNC);
    const remove = dropped[0] ?? insync[pick % insync.length];
    if (disk === undefined || remove === undefined || row.size !== REDUNDANCY) {
      note("(nothing to replace)");
      return;
    }
    const add = lane.newExtent(mirror, disk);
    if (dropped.length > 0) row.set(remove, MemberStatus.FAULTY);
    row.set(add, MemberStatus.SPARE);
    this.#replacement = { mirror, add, remove };
    note(`extent ${add} takes the place of ${remove} in mirror ${mirror}`);
    // Without `remove` it stays in use until the other one is in sync; then it goes.
    if (isLive) await this.#tryReplacement();
    else if (await this.#tryResync(mirror, add)) await this.#tryReplacement();
    statistics.count("answers", this.#replacement === undefined ? "replaced" : "not replaced yet");
  }

  #replacement: { readonly mirror: number; readonly add: number; readonly remove: number } | undefined;

  async #tryReplacement(): Promise<boolean> {
    if (this.#replacement === undefined) return true;
    const { mirror, add, remove } = this.#replacement;
    try {
      await this.#bring(mirror, add, remove);
      this.#row(mirror).delete(remove);
      this.#replacement = undefined;
      return true;
    } catch (error) {
      this.#options.note(`replacement by ${add}: ${describeError(error)}`);
      return false;
    }
  }

  /** Nothing is wrong any more: brings all members of the volume in sync. */
  async resyncAll(): Promise<void> {
    const { lane } = this.#options;
    await waitUntil(
      "all members are in sync",
      async () => {
        if (!(await this.#tryReplacement())) return false;
        for (let mirror = 0; mirror < MIRRORS; mirror += 1) {
          for (const dextid of lane.members(mirror, MemberStatus.SPARE))
            await this.#tryResync(mirror, dextid);
          if (lane.members(mirror, MemberStatus.INSYNC).length < REDUNDANCY) return false;
        }
        return true;
      },
      240_000,
    );
  }

  /** Members that are in sync are equal, where something was or could have been written. @returns what is wrong */
  difference(): string | undefined {
    const { lane } = this.#options;
    for (let mirror = 0; mirror < MIRRORS; mirror += 1) {
      for (const { start, length } of rangesOf(mirror)) {
        const wrong = this.#unlike(mirror * GIB + start, length, () => true);
        if (wrong !== undefined) return `at the end: ${wrong}`;
        const [first, ...others] = lane
          .members(mirror, MemberStatus.INSYNC)
          .map((dextid) => lane.peek(mirror, dextid % 100, start, length));
        if (others.some((other) => first?.equals(other) !== true))
          return `at the end: the members of mirror ${mirror} differ near ${start}`;
      }
    }
    return undefined;
  }

  #row(mirror: number): Map<number, MemberStatus> {
    const { rig } = this.#options.lane;
    const row = rig.manager.mirrors.get(rig.mirrorid(mirror));
    if (row === undefined) throw new Error(`there is no mirror ${mirror}`);
    return row.members;
  }
}
