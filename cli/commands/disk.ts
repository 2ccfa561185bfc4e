import type { Command } from "commander";
import { showDisk, showStorageServer } from "../../shared/ids.js";
import type { DiskInfo } from "../../shared/methods/manager-methods.js";
import type { Column } from "../table.js";
import { showPriority } from "./arguments.js";
import { type MakeContext, showTable } from "./context.js";

const diskColumns: readonly Column<DiskInfo>[] = [
  { title: "DISK", cell: (disk) => showDisk(disk.pdskid) },
  { title: "SERVER", cell: (disk) => showStorageServer(disk.ssvrid) },
  { title: "STATE", cell: (disk) => showPriority(disk.priority) },
  { title: "FREE GB", align: "right", cell: (disk) => disk.available },
  { title: "TO SHRED", align: "right", cell: (disk) => disk.unshredded },
  { title: "GB", align: "right", cell: (disk) => disk.capacity },
  { title: "RESYNCS", align: "right", cell: (disk) => disk.resync },
  { title: "PATH", flexible: true, cell: (disk) => disk.local_path },
];

/** `vas disk list` */
export function addDiskCommands(program: Command, makeContext: MakeContext): void {
  const group = program.command("disk").description("physical disks");
  group
    .command("list")
    .description("list all physical disks")
    .action(async () => {
      const context = makeContext();
      showTable(context, diskColumns, await context.client.call("listPhysicalDisks", {}));
    });
}
