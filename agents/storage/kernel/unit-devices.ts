import { describeError, VasError } from "../../../shared/errors.js";
import { showDisk } from "../../../shared/ids.js";
import type { Log } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import { type DmTable, listDevices, replaceTable, showTable, tablesOf } from "../../common/device-mapper.js";
import { ProgramError, runProgram } from "../../common/run-program.js";
import { parseUnitName, type Unit, unitPrefix } from "./unit.js";
import { closedTable, diskOf, lengthOf } from "./unit-table.js";

/** The device of a unit, as it is found in the kernel. */
export interface UnitDevice {
  readonly unit: Unit;
  readonly name: string;
  /** As `showTable` has it. */
  readonly table: string;
  readonly isSuspended: boolean;
}

/** Both together are less than the manager waits for an answer. */
const DRAIN_MS: Milliseconds = 4000;
const FLUSH_MS: Milliseconds = 2000;
const ATTEMPTS = 3;

/** The devices of an owner's units. */
export async function findDevices(owner: string): Promise<UnitDevice[]> {
  const [infos, tables] = await readAll(owner);
  return infos.flatMap(({ name, isSuspended }) => {
    const unit = parseUnitName(owner, name);
    return unit === undefined ? [] : [{ unit, name, table: tables.get(name) ?? "", isSuspended }];
  });
}

/** Lists fail when any device, whosever it is, goes away while they are made. */
async function readAll(owner: string) {
  const prefix = unitPrefix(owner);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await Promise.all([listDevices(prefix), tablesOf(prefix)]);
    } catch (error) {
      if (!(error instanceof ProgramError) || attempt === ATTEMPTS) throw error;
    }
  }
}

/**
 * Makes devices go by these tables, or answer only errors if they have none. When this returns no request by another
 * table is on its way.
 *
 * @param wanted tables by name
 * @throws VasError EAGAIN if the disk does not end in time what it was sent; the others have their tables then
 */
export async function setTables(
  devices: readonly UnitDevice[],
  wanted: ReadonlyMap<string, DmTable>,
  log: Log,
): Promise<void> {
  // All at once: a disk that hangs holds up each of them for as long as it may.
  const outcomes = await Promise.allSettled(
    devices.map((device) => setTable(device, wanted.get(device.name), log)),
  );
  const failed = outcomes.find((outcome) => outcome.status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

async function setTable(device: UnitDevice, wanted: DmTable | undefined, log: Log): Promise<void> {
  const { name, unit, table, isSuspended } = device;
  const next = wanted ?? closedTable(lengthOf(table));
  // Without a table it leads nowhere.
  if (table === "" || (showTable(next) === table && !isSuspended)) return;
  const between = wanted === undefined ? () => flush(device, log) : undefined;
  try {
    await replaceTable(name, next, { timeoutMs: DRAIN_MS, ...(between === undefined ? {} : { between }) });
  } catch (cause) {
    const sentence = `what was sent to ${showDisk(unit.pdskid)} can't be waited for: ${describeError(cause)}`;
    throw new VasError("EAGAIN", sentence, { cause });
  }
}

/**
 * A device that leads to no disk answers a flush with success, as there is nothing to flush. So all that was written
 * through it is durable before it becomes such a one (rule R5).
 */
async function flush({ table, unit }: UnitDevice, log: Log): Promise<void> {
  const disk = diskOf(table);
  if (disk === undefined) return;
  try {
    await runProgram("sync", [`/dev/block/${disk}`], { timeoutMs: FLUSH_MS });
  } catch (error) {
    // Nothing was killed: it is the disk's own word, and no reason to let a closed epoch go on.
    if (!(error instanceof ProgramError) || error.code === undefined) throw error;
    log.error(`${showDisk(unit.pdskid)} can't be flushed: ${describeError(error)}`);
  }
}
