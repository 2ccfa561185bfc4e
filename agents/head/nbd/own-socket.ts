import { lstatSync, readlinkSync, renameSync, rmSync, symlinkSync } from "node:fs";
import { basename } from "node:path";

/** Names that the volume can be found under while it is served. */
export interface OwnedNames {
  /** Removes socket and link, unless another process has put its own in their place. */
  remove(): void;
}

/** Takes note of the socket that was just made, and points a link at it; the link is there at every instant. */
export function publishSocket(socket: string, link: string): OwnedNames {
  const { ino, dev } = lstatSync(socket);
  const target = basename(socket);
  const temporary = `${link}.${process.pid}.tmp`;
  rmSync(temporary, { force: true });
  symlinkSync(target, temporary);
  renameSync(temporary, link);
  return {
    remove: () => {
      const found = lstatSync(socket, { throwIfNoEntry: false });
      // The server removes its socket itself when it closes; what is there then is somebody else's.
      const isOurs = found === undefined || (found.ino === ino && found.dev === dev);
      if (!isOurs) return;
      rmSync(socket, { force: true });
      if (pointsTo(link, target)) rmSync(link, { force: true });
    },
  };
}

function pointsTo(link: string, target: string): boolean {
  try {
    return readlinkSync(link) === target;
  } catch {
    return false;
  }
}
