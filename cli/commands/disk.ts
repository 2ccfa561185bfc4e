import type { Command } from "commander";
import { showDisk, showStorageServer } from "../../shared/ids.js";
import type { DiskInfo } from "../../shared/methods/manager-methods.js";
import type { Column } from "../table.js";
import { evacuationLine, parseId, parseWholeNumber, showPriority } from "./arguments.js";
import { type MakeContext, show, showTable } from "./context.js";

export const diskColumns: readonly Column<DiskInfo>[] = [
  { title: "DISK", cell: (disk) => showDisk(disk.pdskid) },
  { title: "SERVER", cell: (disk) => showStorageServer(disk.ssvrid) },
  { title: "STATE", cell: (disk) => showPriority(disk.priority) },
  { title: "FREE GB", align: "right", cell: (disk) => disk.available },
  { title: "TO SHRED", align: "right", droppable: true, cell: (disk) => disk.unshredded },
  { title: "GB", align: "right", cell: (disk) => disk.capacity },
  { title: "RESYNCS", align: "right", droppable: true, cell: (disk) => disk.resync },
  // What tells paths apart is at their end, so they are not cut.
  { title: "PATH", narrows: "fold", least: 20, cell: (disk) => disk.local_path },
];

const DISK = "pdsk-XXXXXXXX or a number";
const parseDisk = (text: string): number => parseId("pdsk", text);
const parseBlocks = (text: string, before: readonly number[] = []): readonly number[] => [
  ...before,
  parseWholeNumber(text),
];

/** `vas disk …` */
export function addDiskCommands(program: Command, makeContext: MakeContext): void {
  const group = program.command("disk").description("physical disks");
  group
    .command("list")
    .description("list all physical disks, or those of one storage server")
    .option("--server <id>", "storage server, ssvr-XXXXXXXX or a number", (text) => parseId("ssvr", text))
    .action(async ({ server: ssvrid }: { server?: number }) => {
      const context = makeContext();
      const params = ssvrid === undefined ? {} : { ssvrid };
      showTable(context, diskColumns, await context.client.call("listPhysicalDisks", params));
    });

  group
    .command("delete")
    .description("forget a disk that is OFFLINE or FAULTY, or was evacuated")
    .argument("<id>", DISK, parseDisk)
    .action(async (pdskid: number) => {
      const context = makeContext();
      await context.client.call("deletePhysicalDisk", { pdskid });
      show(context, {}, () => [`deleted ${showDisk(pdskid)}`]);
    });

  group
    .command("evacuate")
    .description("have all copies on a disk made elsewhere, so that it can be deleted")
    .argument("<id>", DISK, parseDisk)
    .option("--cancel", "keep it in use after all")
    .action(async (pdskid: number, { cancel = false }: { cancel?: boolean }) => {
      const context = makeContext();
      await context.client.call("evacuatePhysicalDisk", { pdskid, cancel });
      show(context, {}, () => [evacuationLine(showDisk(pdskid), cancel)]);
    });

  group
    .command("bad-blocks")
    .description("report that blocks of a disk can't be read or written")
    .argument("<id>", DISK, parseDisk)
    .argument("<blocks...>", "numbers of blocks of 1 GB, from 0", parseBlocks)
    .action(async (pdskid: number, blocks: readonly number[]) => {
      const context = makeContext();
      await context.client.call("notifyBadBlocks", { pdskid, blocks: [...blocks] });
      show(context, {}, () => ["reported"]);
    });
}
