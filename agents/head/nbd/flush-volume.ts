import { NbdErrno } from "../../common/nbd/protocol.js";
import type { DiskConnection } from "./disk-connection.js";
import type { Member } from "./member.js";
import type { Mirror } from "./mirror.js";

/**
 * Makes every write that was acknowledged before durable on all members that count. A member whose disk can't do it has
 * failed, and the manager has recorded that when this ends; for the last good copy it is waited.
 *
 * The copy-on-write spaces of snapshots need no flush, since every write there is durable when it is answered. Nothing here
 * waits for them; but what is being copied to a new member of theirs fails with a disk that could not be flushed.
 *
 * @param disks all of the volume's and of its snapshots
 * @param mirrors the volume's own
 * @param spaces the mirrors of copy-on-write spaces
 * @returns 0, or EIO if the last good copy of a mirror answered an error, or has lost writes
 */
export async function flushVolume(
  disks: Iterable<DiskConnection>,
  mirrors: readonly Mirror[],
  spaces: readonly Mirror[],
): Promise<number> {
  const answers: Promise<number>[] = [];
  const own = spaces.length === 0 ? undefined : disksOf(mirrors);
  for (const disk of disks) {
    if (disk.completed > disk.flushed && own?.has(disk) !== false)
      answers.push(flushOne(disk, mirrors, spaces));
  }
  const errnos = await Promise.all(answers);
  // A member that failed in a write, and was flushed by nobody, may be on its way out.
  await Promise.all(mirrors.filter(({ isHolding }) => isHolding).map((mirror) => mirror.settled()));
  // Also of a mirror whose last good copy lost what it had answered: nothing makes that durable any more (rule R5).
  const isLost = mirrors.some((mirror) => mirror.errno !== 0);
  return isLost || errnos.some((errno) => errno !== 0) ? NbdErrno.EIO : 0;
}

async function flushOne(
  disk: DiskConnection,
  mirrors: readonly Mirror[],
  spaces: readonly Mirror[],
): Promise<number> {
  for (;;) {
    const errno = await new Promise<number>((resolve) => disk.flush(resolve));
    if (errno === 0) return 0;
    const concerned = unflushedOn(disk, mirrors);
    for (const { mirror, member } of [...concerned, ...unflushedOn(disk, spaces)]) {
      // After a failed flush nobody knows what the disk holds, and a second one that succeeds proves nothing (rule R5).
      if (errno > 0) mirror.writesLost(member);
      else mirror.memberFailed(member, errno);
    }
    if (concerned.length === 0) return 0;
    await Promise.all(concerned.map(({ mirror }) => mirror.settled()));
    if (errno > 0) return concerned.some(({ mirror }) => mirror.errno !== 0) ? errno : 0;
    // Those that had something to flush are out. A member that had nothing keeps the disk in use, and may never see it again.
    if (unflushedOn(disk, mirrors).length === 0) return 0;
    await disk.whenUpOrIdle();
  }
}

/** Disks that hold, or may have held before a member left, writes of these mirrors. */
function disksOf(mirrors: readonly Mirror[]): ReadonlySet<DiskConnection> {
  return new Set(mirrors.flatMap(({ members }) => members.map(({ disk }) => disk)));
}

function unflushedOn(
  disk: DiskConnection,
  mirrors: readonly Mirror[],
): { readonly mirror: Mirror; readonly member: Member }[] {
  return mirrors.flatMap((mirror) =>
    mirror.writers
      .filter((member) => member.disk === disk && disk.hasUnflushed(member))
      .map((member) => ({ mirror, member })),
  );
}
