import { describeError, VasError } from "../../shared/errors.js";
import { showExtent, showMirror, showVolume } from "../../shared/ids.js";
import { allMirrorsOf, type ParsedExtent } from "../../shared/layout-tree.js";
import type { Milliseconds } from "../../shared/units.js";
import { ControlUnreachableError } from "../common/control-socket.js";
import type { EventWork } from "../common/events.js";
import { pause } from "../common/pause.js";
import type { AttachedVolume } from "./attached-volume.js";
import { withSnapshotsOf } from "./snapshots-of-tree.js";
import type { VolumeProcess } from "./volume-process.js";

/** A change of the members of one mirror. */
export interface Replacement {
  readonly mirrorid: number;
  readonly version: number;
  readonly add: ParsedExtent;
  readonly remove: ParsedExtent | null;
}

/** A terabyte at 2 MB/s; a resync that takes longer will not end. */
const REPLACE_MS: Milliseconds = 6 * 24 * 3600 * 1000;
const PROGRESS_MS: Milliseconds = 1000;

/**
 * Has the volume process bring a member in sync, and remembers the tree that it then has. When we are told to stop the
 * process goes on; whoever asks again for the same member waits for the same work.
 *
 * @throws VasError as the volume process answers it; EAGAIN if it ended, or for any other reason that says nothing of the
 * member's disk
 */
export async function replaceMember(
  volume: AttachedVolume,
  change: Replacement,
  work: EventWork,
): Promise<void> {
  try {
    await bringIn(volume, change, work);
  } catch (cause) {
    if (cause instanceof VasError) throw cause;
    throw new VasError("EAGAIN", describeError(cause), { cause });
  }
}

async function bringIn(volume: AttachedVolume, change: Replacement, work: EventWork): Promise<void> {
  const { mirrorid, add } = change;
  const process = volume.process;
  if (process === undefined)
    throw new VasError("EAGAIN", `${showVolume(volume.lvolid)} is being started again`);
  // First, so that a restart at any time finds the place of a member that the manager counts on.
  await volume.remember(({ joining }) => ({
    joining: [...joining.filter(({ extent }) => extent.lvolid !== add.lvolid), { mirrorid, extent: add }],
  }));
  const ended = new AbortController();
  const watching = reportProgress(process, change, work, ended.signal);
  try {
    await Promise.race([askProcess(process, change), rejectOnAbort(work.signal, ended.signal)]);
  } finally {
    ended.abort();
    await watching;
    if (!work.signal.aborted) await rememberTree(volume, process);
  }
}

async function askProcess(process: VolumeProcess, change: Replacement): Promise<void> {
  try {
    await process.call("replaceMember", change, REPLACE_MS);
  } catch (error) {
    if (!(error instanceof ControlUnreachableError)) throw error;
    const what = `${showExtent(change.add.lvolid)} joined ${showMirror(change.mirrorid)}`;
    throw new VasError("EAGAIN", `the volume process ended before ${what}`, { cause: error });
  }
}

/** The tree that a restart is to begin with; a process that can't tell it now leaves us with the one before. */
async function rememberTree(volume: AttachedVolume, process: VolumeProcess): Promise<void> {
  const { lvolstruct } = await process.status().catch(() => ({ lvolstruct: undefined }));
  if (lvolstruct === undefined) return;
  const present = new Set(
    allMirrorsOf(lvolstruct).flatMap((mirror) => mirror.components.map((extent) => extent.lvolid)),
  );
  await volume.remember(({ joining, lvolstruct: known }) => ({
    lvolstruct: withSnapshotsOf(lvolstruct, known),
    joining: joining.filter(({ extent }) => !present.has(extent.lvolid)),
  }));
}

async function reportProgress(
  process: VolumeProcess,
  { mirrorid, add }: Replacement,
  work: EventWork,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    const { resyncs = [] } = await process.status().catch(() => ({ resyncs: undefined }));
    const mine = resyncs.find((resync) => resync.mirrorid === mirrorid && resync.dextid === add.lvolid);
    if (mine !== undefined) work.progress(mine.percent);
    await pause(PROGRESS_MS, signal);
  }
}

/** @param until when nobody waits for it any more: the other signal lasts as long as the agent */
function rejectOnAbort(signal: AbortSignal, until: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void =>
      reject(new VasError("EAGAIN", "the head agent stops; the volume process goes on"));
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true, signal: until });
  });
}
