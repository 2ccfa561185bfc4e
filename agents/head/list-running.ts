import type { RunningVolume } from "../../shared/methods/agent-methods.js";
import type { Milliseconds } from "../../shared/units.js";
import type { AttachedVolume } from "./attached-volume.js";

/** Members that one answer holds at most, so that it stays far below what a caller takes: one is some 300 bytes of XML. */
const MAX_MEMBERS = 10_000;
/** Processes asked at a time. */
const AT_ONCE = 16;
/** Short, so that some processes that hang do not keep the caller from hearing of the others. */
const ANSWER_MS: Milliseconds = 1_000;

/**
 * What the processes of volumes make of their members, from the volume after `after` on. An answer has at least one volume,
 * whole, if there is one.
 */
export async function listRunning(
  all: readonly AttachedVolume[],
  after = 0,
): Promise<{ volumes: RunningVolume[]; more: boolean }> {
  const left = all.filter(({ lvolid }) => lvolid > after).sort((a, b) => a.lvolid - b.lvolid);
  const volumes: RunningVolume[] = [];
  let members = 0;
  for (let from = 0; from < left.length && members < MAX_MEMBERS; from += AT_ONCE) {
    for (const volume of await Promise.all(left.slice(from, from + AT_ONCE).map(describe))) {
      members += volume.mirrors.reduce((sum, mirror) => sum + mirror.members.length, 0);
      if (volumes.length > 0 && members > MAX_MEMBERS) break;
      volumes.push(volume);
    }
  }
  return { volumes, more: volumes.length < left.length };
}

async function describe({ lvolid, epoch, process }: AttachedVolume): Promise<RunningVolume> {
  const status = await process?.status(ANSWER_MS).catch(() => undefined);
  const { state = "silent", mirrors = [], snapshots = [] } = status ?? {};
  return { lvolid, epoch, state, mirrors, snapshots };
}
