import { readdir, readFile, realpath, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { describeError } from "../../../shared/errors.js";
import type { Chap } from "../../../shared/methods/agent-methods.js";
import type { Milliseconds } from "../../../shared/units.js";
import { ProgramError, runProgram } from "../../common/run-program.js";

/** iSCSI sessions, by way of `iscsiadm` and sysfs. */

/** One address of a target. */
export interface Portal {
  readonly target: string;
  readonly address: string;
  readonly port: number;
}

/** A session of this machine, to whatever target. */
export interface Session extends Portal {
  /** `session3`. */
  readonly name: string;
  /** It can carry requests now. */
  readonly isUp: boolean;
}

/** A disk of a session. */
export interface Unit {
  /** The kernel's name of it: `sdb`. */
  readonly name: string;
  /** `major:minor`. */
  readonly number: string;
}

const SESSIONS = "/sys/class/iscsi_session";
/** `iscsiadm`: there is a session already; and: no such record or session. */
const EXISTS = 15;
const NOT_FOUND = 21;
const LOGIN_MS: Milliseconds = 20_000;

/**
 * Logs in, unless there is a session already. The session is made again by iscsid whenever it breaks.
 *
 * @param chap name and secret that the target asks for
 * @param silenceMs how long a request may be without an answer before its path fails
 * @throws ProgramError
 */
export async function login(portal: Portal, chap: Chap | undefined, silenceMs: Milliseconds): Promise<void> {
  const record = recordOf(portal);
  await runProgram("iscsiadm", [...record, "-o", "new"]);
  const settings = [...settingsFor(silenceMs), ...accessBy(chap)].flatMap(([name, value]) => [
    "-n",
    name,
    "-v",
    String(value),
  ]);
  await runProgram("iscsiadm", [...record, "-o", "update", ...settings]);
  try {
    await runProgram("iscsiadm", [...record, "--login"], { timeoutMs: LOGIN_MS });
  } catch (error) {
    if (!(error instanceof ProgramError && error.code === EXISTS)) throw error;
  }
}

/** Ends the sessions of a target and forgets it, if it is known. Nothing may use its disks any more. @throws ProgramError */
export async function logout(target: string): Promise<void> {
  for (const action of [["--logout"], ["-o", "delete"]]) {
    try {
      await runProgram("iscsiadm", ["-m", "node", "-T", target, ...action], { timeoutMs: LOGIN_MS });
    } catch (error) {
      if (!(error instanceof ProgramError && error.code === NOT_FOUND)) throw error;
    }
  }
}

/** All sessions of this machine. */
export async function listSessions(): Promise<Session[]> {
  const names = await readdir(SESSIONS).catch(() => []);
  const sessions = await Promise.all(names.map(readSession));
  return sessions.filter((session) => session !== undefined);
}

/**
 * A disk of a session. If the kernel does not know it, it is looked for: it may be there since a moment ago.
 *
 * @returns undefined if the target has no such unit
 */
export async function findUnit(session: Session, lun: number): Promise<Unit | undefined> {
  const known = await readUnit(session, lun);
  if (known !== undefined) return known;
  const folder = await realpath(join(SESSIONS, session.name, "device"));
  const host = /\/(host\d+)\//.exec(folder)?.[1];
  if (host === undefined) return undefined;
  await writeFile(join("/sys/class/scsi_host", host, "scan"), `- - ${lun}`);
  return readUnit(session, lun);
}

/** Requests that a disk does not answer are called off after so long. */
export async function setTimeoutOf(unit: Unit, timeoutMs: Milliseconds): Promise<void> {
  const seconds = Math.max(1, Math.ceil(timeoutMs / 1000));
  await writeFile(join("/sys/block", unit.name, "device/timeout"), String(seconds));
}

/** Says why a login failed in few words. */
export function describeLogin(error: unknown): string {
  return describeError(error).split("\n").at(-1) ?? "";
}

const recordOf = ({ target, address, port }: Portal): string[] => {
  const host = address.includes(":") ? `[${address}]` : address;
  return ["-m", "node", "-T", target, "-p", `${host}:${port}`];
};

/**
 * A target that does not answer is known to be silent after half of the time, and its requests are given back after the rest.
 * What the kernel tries to save a silent session with takes no longer either.
 */
function settingsFor(silenceMs: Milliseconds): [string, number | string][] {
  const quarter = Math.max(1, Math.floor(silenceMs / 4000));
  return [
    ["node.startup", "manual"],
    ["node.session.timeo.replacement_timeout", quarter],
    ["node.conn[0].timeo.noop_out_interval", quarter],
    ["node.conn[0].timeo.noop_out_timeout", quarter],
    ["node.conn[0].timeo.login_timeout", 4 * quarter],
    ["node.session.err_timeo.abort_timeout", quarter],
    ["node.session.err_timeo.lu_reset_timeout", quarter],
    ["node.session.err_timeo.tgt_reset_timeout", quarter],
    ["node.session.initial_login_retry_max", 1],
  ];
}

function accessBy(chap: Chap | undefined): [string, string][] {
  if (chap === undefined) return [["node.session.auth.authmethod", "None"]];
  return [
    ["node.session.auth.authmethod", "CHAP"],
    ["node.session.auth.username", chap.user],
    ["node.session.auth.password", chap.secret],
  ];
}

async function readSession(name: string): Promise<Session | undefined> {
  const read = (path: string) => readFile(path, "utf8").then((text) => text.trim());
  const connection = `/sys/class/iscsi_connection/connection${name.slice("session".length)}:0`;
  try {
    const [target, state, address, port] = await Promise.all([
      read(join(SESSIONS, name, "targetname")),
      read(join(SESSIONS, name, "state")),
      read(join(connection, "persistent_address")),
      read(join(connection, "persistent_port")),
    ]);
    return { name, target, address, port: Number(port), isUp: state === "LOGGED_IN" };
  } catch {
    return undefined; // it ends, or begins
  }
}

async function readUnit(session: Session, lun: number): Promise<Unit | undefined> {
  const folder = join(SESSIONS, session.name, "device");
  for (const target of await readdir(folder).catch(() => [])) {
    const address = target.replace(/^target/, "");
    if (address === target) continue;
    const block = join(folder, target, `${address}:${lun}`, "block");
    const [name] = await readdir(block).catch(() => []);
    if (name === undefined) continue;
    const number = await readFile(join(block, name, "dev"), "utf8").catch(() => undefined);
    if (number !== undefined) return { name: basename(name), number: number.trim() };
  }
  return undefined;
}
