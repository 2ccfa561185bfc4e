import type { Command } from "commander";
import { showVolume } from "../../shared/ids.js";
import type { VolumeInfo } from "../../shared/methods/manager-methods.js";
import type { Column } from "../table.js";
import { originArgument, volumeArgument } from "./arguments.js";
import { type MakeContext, show, showTable } from "./context.js";

export type SnapshotRow = VolumeInfo & { readonly origin: string };

export const snapshotColumns: readonly Column<SnapshotRow>[] = [
  { title: "ID", cell: (snapshot) => showVolume(snapshot.lvolid) },
  { title: "NAME", narrows: "cut", cell: (snapshot) => snapshot.lvolname },
  { title: "OF", narrows: "cut", cell: (snapshot) => snapshot.origin },
  { title: "GB", align: "right", cell: (snapshot) => snapshot.capacity },
  { title: "STATUS", cell: (snapshot) => snapshot.snapshot_status },
  { title: "TAKEN (UTC)", cell: (snapshot) => snapshot.ctime },
];

const VOLUME = "name, or id as lvol-XXXXXXXX or its eight digits";

function rowsOf(volumes: readonly VolumeInfo[]): SnapshotRow[] {
  const names = new Map(volumes.map(({ lvolid, lvolname }) => [lvolid, lvolname]));
  return volumes.flatMap((volume) => {
    const [origin] = volume.associated_to;
    return origin === undefined ? [] : [{ ...volume, origin: names.get(origin.lvolid) ?? "" }];
  });
}

/** `vas snapshot …` */
export function addSnapshotCommands(program: Command, makeContext: MakeContext): void {
  const group = program.command("snapshot").description("keep the content that volumes have at an instant");

  group
    .command("create")
    .description("take a snapshot of a volume, attached or not")
    .argument("<volume>", VOLUME)
    .argument("<name>", "name of the snapshot: 1 to 64 characters of A-Z a-z 0-9 . - _")
    .action(async (volume: string, name: string) => {
      const context = makeContext();
      const origin = originArgument(volume);
      const lvolid = await context.client.call("createSnapshot", { ...origin, snapshot_lvolname: name });
      show(context, { lvolid }, () => [`took ${showVolume(lvolid)} ${name}`]);
    });

  group
    .command("list")
    .description("list all snapshots")
    .action(async () => {
      const context = makeContext();
      showTable(context, snapshotColumns, rowsOf(await context.client.call("listLogicalVolumes", {})));
    });

  group
    .command("delete")
    .description("delete a snapshot and overwrite its data")
    .argument("<snapshot>", VOLUME)
    .action(async (snapshot: string) => {
      const context = makeContext();
      await context.client.call("deleteLogicalVolume", volumeArgument(snapshot));
      show(context, {}, () => ["deleted; its space is overwritten before anyone else gets it"]);
    });
}
