import { showDisk, showStorageServer } from "../../shared/ids.js";
import type { DiskInfo } from "../../shared/methods/manager-methods.js";
import { showPriority } from "../commands/arguments.js";
import { formatTotal } from "./format-total.js";
import { printf, showGb, showUse } from "./printf.js";

const FORMAT = "%-14s %-14s %-9s%6s %10s %10s %5s %-40s";

const diskLine = (disk: DiskInfo): string =>
  printf(
    FORMAT,
    showDisk(disk.pdskid),
    showStorageServer(disk.ssvrid),
    showPriority(disk.priority),
    disk.resync,
    showGb(disk.capacity),
    showGb(disk.available),
    showUse(disk.available, disk.capacity),
    disk.local_path,
  );

/** The output of `pdsk_list`. */
export function formatDisks(disks: readonly DiskInfo[]): string[] {
  const titles = printf(
    FORMAT,
    "pdskid",
    "ssvrid",
    "priority",
    "resync",
    "capacity",
    "available",
    "use%",
    "local_path",
  );
  return [formatTotal(disks), titles, ...disks.map(diskLine)];
}
