import { join } from "node:path";
import { VasError } from "../../../shared/errors.js";
import type { Milliseconds } from "../../../shared/units.js";
import { removeDevice } from "../../common/device-mapper.js";
import { pause } from "../../common/pause.js";
import { runProgram } from "../../common/run-program.js";
import { BACKSTORES, exists, TARGETS } from "./configfs.js";

/**
 * Takes down what is not wanted any more. All of it may be gone already, or in part.
 *
 * The kernel answers when no command is left that uses what is removed. That may take long, and what waits for it
 * can't be killed: so it is done by programs, and not by the few threads that our own file access has.
 */

const GONE_MS: Milliseconds = 5000;
const LET_GO_MS: Milliseconds = 3000;
const RETRY_MS: Milliseconds = 50;

/** Its arguments are the folder of a target and the name of a unit, which may be none. */
const DROP_UNIT = `
cd "$1/tpgt_1/lun/$2" 2>/dev/null || exit 0
rm -f port && cd .. && rmdir "$2"`;

/**
 * Sessions first: a command whose head is silent in the midst of it would hold its unit until the session is given up.
 */
const DROP_TARGET = `
cd "$1" 2>/dev/null || exit 0
if [ -d tpgt_1 ]; then
  echo 0 >tpgt_1/enable || exit
  if [ -d "tpgt_1/lun/$2" ]; then rm -f "tpgt_1/lun/$2/port" && rmdir "tpgt_1/lun/$2" || exit; fi
  for unit in tpgt_1/lun/lun_*; do [ ! -d "$unit" ] || exit 0; done
  for portal in tpgt_1/np/*; do [ ! -d "$portal" ] || rmdir "$portal" || exit; done
  rmdir tpgt_1 || exit
fi
cd / && rmdir "$1"`;

/** Removes a disk's unit from a target that others still use. @throws ProgramError if it is not gone in time */
export async function dropUnit(target: string, pdskid: number): Promise<void> {
  await run(DROP_UNIT, target, `lun_${pdskid}`);
}

/**
 * Ends all sessions of a target, lets nobody log in any more, and removes a disk's unit; and the target with its last
 * one.
 *
 * @throws ProgramError if they are not gone in time
 */
export async function closeTarget(target: string, pdskid?: number): Promise<void> {
  await run(DROP_TARGET, target, pdskid === undefined ? "none" : `lun_${pdskid}`);
}

async function run(script: string, target: string, unit: string): Promise<void> {
  await runProgram("sh", ["-c", script, "sh", join(TARGETS, target), unit], { timeoutMs: GONE_MS });
}

/** Removes the device of a unit and what makes it one. @throws ProgramError, VasError EBUSY */
export async function dropDevice(name: string): Promise<void> {
  const backstore = join(BACKSTORES, name);
  if (await exists(backstore)) await runProgram("rmdir", [backstore], { timeoutMs: GONE_MS });
  // udev may be looking at it.
  const deadline = AbortSignal.timeout(LET_GO_MS);
  for (;;) {
    try {
      await removeDevice(name);
      return;
    } catch (error) {
      if (!(error instanceof VasError && error.errno === "EBUSY") || deadline.aborted) throw error;
      await pause(RETRY_MS, deadline);
    }
  }
}
