import { describeError } from "../../../shared/errors.js";
import { showDisk, showExtent } from "../../../shared/ids.js";
import { parseUnitPath, targetName, UNIT_MARGIN, type UnitPath } from "../../../shared/iscsi-names.js";
import type { ParsedExtent } from "../../../shared/layout-tree.js";
import type { Log } from "../../../shared/log.js";
import type { Chap } from "../../../shared/methods/agent-methods.js";
import { extentPlace, type Milliseconds, SECTOR_BYTES } from "../../../shared/units.js";
import {
  createDevices,
  type DmTable,
  devicePath,
  listDevices,
  removeClosedDevice,
  replaceTable,
  sendMessage,
  statusOf,
  tablesOf,
} from "../../common/device-mapper.js";
import { findUnit, listSessions, login, logout, type Portal, type Session, setTimeoutOf } from "./iscsi.js";
import type { VolumeNames } from "./names.js";

export interface ExtentsOptions {
  readonly names: VolumeNames;
  readonly epoch: number;
  /** By which this head is known to the storage servers; undefined if they ask for nothing. */
  readonly chap: Chap | undefined;
  /** What a path may be without an answer. */
  readonly silenceMs: Milliseconds;
  readonly log: Log;
}

/** How an extent is reached now. */
export interface Reach {
  /** A path takes requests, as far as is known. */
  readonly isUp: boolean;
  /** A session of one of its addresses is up. */
  readonly isConnected: boolean;
}

interface Path {
  readonly place: number;
  readonly number: string;
}

/**
 * The extents of a volume as devices of this machine. Each is a multipath device, also if there is one path: requests wait in
 * it while no path is there, until they are told to fail (`letFail`). Everything here may be done again.
 */
export class Extents {
  readonly #options: ExtentsOptions;
  readonly #nodes = new Map<number, ParsedExtent>();

  constructor(options: ExtentsOptions) {
    this.#options = options;
  }

  /** Name of an extent's device. */
  nameOf(dextid: number): string {
    return this.#options.names.extent(dextid);
  }

  /**
   * Makes the devices of extents that have none. Logs in to their servers first, to all of them at once.
   *
   * @returns the ids of those that can't be reached by any address; they have no device
   */
  async open(extents: readonly ParsedExtent[]): Promise<ReadonlySet<number>> {
    const { names } = this.#options;
    for (const extent of extents) this.#nodes.set(extent.lvolid, extent);
    await this.#login(extents);
    const [known, sessions] = await Promise.all([listDevices(names.prefix), listSessions()]);
    const isThere = new Set(known.map(({ name }) => name));
    const missing = extents.filter((extent) => !isThere.has(names.extent(extent.lvolid)));
    const found = await Promise.all(
      missing.map(async (extent) => ({ extent, paths: await this.#pathsOf(extent, sessions) })),
    );
    const reachable = found.filter(({ paths }) => paths.length > 0);
    const pathDevices = reachable.flatMap(({ extent, paths }) =>
      paths.map((path) => ({
        name: names.path(extent.lvolid, path.place),
        table: pathTable(extent, path.number),
      })),
    );
    await createDevices(pathDevices.filter(({ name }) => !isThere.has(name)));
    await createDevices(
      reachable.map(({ extent, paths }) => ({
        name: names.extent(extent.lvolid),
        table: this.#extentTable(extent, paths),
      })),
    );
    return new Set(found.filter(({ paths }) => paths.length === 0).map(({ extent }) => extent.lvolid));
  }

  /**
   * How all extents are reached. On the way paths that work again are used again, and those that were not there are added.
   *
   * @param retry whether paths that failed though their session is up are to be tried again
   */
  async look(retry: boolean): Promise<ReadonlyMap<number, Reach>> {
    const { names } = this.#options;
    const [sessions, status] = await Promise.all([
      listSessions(),
      statusOf(`${names.prefix}ext-`, "multipath"),
    ]);
    const reaches = new Map<number, Reach>();
    for (const [dextid, extent] of this.#nodes) {
      const lines = status.get(names.extent(dextid));
      if (lines === undefined) continue;
      const isConnected = this.#portalsOf(extent).some(
        (portal) => findSession(sessions, portal)?.isUp === true,
      );
      const states = [...lines.join(" ").matchAll(/\b(\d+:\d+) ([AF]) \d+/g)];
      const failed = states.filter(([, , state]) => state === "F").map(([, number = ""]) => number);
      if (isConnected && (failed.length > 0 || states.length < extent.lvolspec.iscsi_path.length))
        await this.#repair(extent, sessions, retry ? failed : []);
      reaches.set(dextid, { isUp: failed.length < states.length, isConnected });
    }
    return reaches;
  }

  /** Logs in again where there is no session, and no attempt to have one. */
  async reconnect(): Promise<void> {
    await this.#login([...this.#nodes.values()]);
  }

  /** Requests to an extent without a path fail from now on, and those that wait. */
  async letFail(dextid: number): Promise<void> {
    await sendMessage(this.nameOf(dextid), "fail_if_no_path");
  }

  /** Removes the device of an extent that nobody has open any more, and ends the session if it was the last that needed it. */
  async close(dextid: number): Promise<void> {
    const { names } = this.#options;
    await removeClosedDevice(names.extent(dextid));
    const prefix = names.path(dextid, 0).slice(0, -1);
    for (const { name } of await listDevices(prefix)) await removeClosedDevice(name);
    const extent = this.#nodes.get(dextid);
    this.#nodes.delete(dextid);
    if (extent === undefined) return;
    const still = new Set([...this.#nodes.values()].flatMap((other) => this.#portalsOf(other)).map(targetOf));
    for (const target of new Set(this.#portalsOf(extent).map(targetOf)))
      if (!still.has(target)) await logout(target);
  }

  async #repair(
    extent: ParsedExtent,
    sessions: readonly Session[],
    failed: readonly string[],
  ): Promise<void> {
    const { names, log } = this.#options;
    try {
      const paths = await this.#pathsOf(extent, sessions);
      const tables = await tablesOf(names.path(extent.lvolid, 0).slice(0, -1));
      let isNew = false;
      for (const path of paths) {
        const name = names.path(extent.lvolid, path.place);
        const table = tables.get(name);
        if (table === undefined) {
          await createDevices([{ name, table: pathTable(extent, path.number) }]);
          isNew = true;
        } else if (!table.includes(` linear ${path.number} `)) {
          // The session was made anew, and the kernel gave its disk another number.
          await replaceTable(name, pathTable(extent, path.number));
        }
      }
      if (isNew) {
        const known = [...tables.keys()].map((name) => Number(name.slice(name.lastIndexOf("-") + 1)));
        const places = new Set([...known, ...paths.map(({ place }) => place)]);
        const all = [...places].sort().map((place) => ({ place, number: "" }));
        await replaceTable(names.extent(extent.lvolid), this.#extentTable(extent, all), { keepsQueue: true });
        return;
      }
      for (const number of failed) await sendMessage(names.extent(extent.lvolid), `reinstate_path ${number}`);
    } catch (error) {
      log.warn(`a path of ${showExtent(extent.lvolid)} can't be repaired: ${describeError(error)}`);
    }
  }

  async #login(extents: readonly ParsedExtent[]): Promise<void> {
    const { silenceMs, chap, log } = this.#options;
    const portals = new Map(extents.flatMap((extent) => this.#portalsOf(extent)).map((p) => [keyOf(p), p]));
    const sessions = await listSessions();
    const missing = [...portals.values()].filter((portal) => findSession(sessions, portal) === undefined);
    await Promise.all(
      missing.map(async (portal) => {
        try {
          await login(portal, chap, silenceMs);
        } catch (error) {
          log.warn(`can't log in to ${portal.target} at ${portal.address}: ${describeError(error)}`);
        }
      }),
    );
  }

  /** The disk of an extent, by each address that it can be seen at. */
  async #pathsOf(extent: ParsedExtent, sessions: readonly Session[]): Promise<Path[]> {
    const { silenceMs, log } = this.#options;
    const paths: Path[] = [];
    for (const [place, portal] of this.#portalsOf(extent).entries()) {
      const session = findSession(sessions, portal);
      if (session?.isUp !== true) continue;
      const unit = await findUnit(session, extent.lvolspec.pdskid);
      if (unit === undefined) {
        log.warn(`${portal.target} has no unit for ${showDisk(extent.lvolspec.pdskid)}`);
        continue;
      }
      await setTimeoutOf(unit, silenceMs);
      paths.push({ place, number: unit.number });
    }
    return paths;
  }

  #portalsOf({ lvolspec: { iscsi_path } }: ParsedExtent): Portal[] {
    const { names, epoch } = this.#options;
    return iscsi_path.map((text) => {
      const { server, address, port }: UnitPath = parseUnitPath(text);
      return { target: targetName(server, names.lvolid, epoch), address, port };
    });
  }

  #extentTable(extent: ParsedExtent, paths: readonly Path[]): DmTable {
    const { names } = this.#options;
    const devices = paths.map(({ place }) => `${devicePath(names.path(extent.lvolid, place))} 1`);
    const options = "3 queue_if_no_path queue_mode bio 0";
    const target = `multipath ${options} 1 1 round-robin 0 ${paths.length} 1 ${devices.join(" ")}`;
    return [{ sectors: sectorsOf(extent), target }];
  }
}

function pathTable(extent: ParsedExtent, number: string): DmTable {
  const { offset } = extent.lvolspec;
  const start = (UNIT_MARGIN + extentPlace(offset, extent.capacity).start) / SECTOR_BYTES;
  return [{ sectors: sectorsOf(extent), target: `linear ${number} ${start}` }];
}

function sectorsOf({ lvolspec: { offset }, capacity }: ParsedExtent): number {
  const { start, end } = extentPlace(offset, capacity);
  return (end - start) / SECTOR_BYTES;
}

const keyOf = ({ target, address, port }: Portal): string => `${target} ${address} ${port}`;
const targetOf = ({ target }: Portal): string => target;

function findSession(sessions: readonly Session[], portal: Portal): Session | undefined {
  return sessions.find((session) => keyOf(session) === keyOf(portal));
}
