import type { Command } from "commander";
import {
  showDisk,
  showExtent,
  showHeadServer,
  showMirror,
  showStorageServer,
  showVolume,
} from "../../shared/ids.js";
import { linearOf, type SnapshotNode, type VolumeNode } from "../../shared/layout-tree.js";
import type { VolumeInfo } from "../../shared/methods/manager-methods.js";
import { BindEvent, BindStatus, MemberStatus } from "../../shared/states.js";
import { fold } from "../fold.js";
import { type Column, renderTable } from "../table.js";
import { parseId, parseWholeNumber, volumeArgument } from "./arguments.js";
import { type MakeContext, show, showTable } from "./context.js";

function showBinding(volume: VolumeInfo): string {
  if (volume.bind_event === BindEvent.BINDING) return "attaching";
  if (volume.bind_event === BindEvent.UNBINDING) return "detaching";
  if (volume.bind_status === BindStatus.BOUND) return showHeadServer(volume.hsvrid);
  return volume.bind_status === BindStatus.ERROR ? "attach failed" : "detached";
}

function showHealth(volume: VolumeInfo): string {
  if (volume.snapshot_status === "INVALID") return "invalid";
  return volume.fault ? "degraded" : "ok";
}

export const volumeColumns: readonly Column<VolumeInfo>[] = [
  { title: "ID", cell: (volume) => showVolume(volume.lvolid) },
  { title: "NAME", narrows: "cut", least: 12, cell: (volume) => volume.lvolname },
  { title: "GB", align: "right", cell: (volume) => volume.capacity },
  { title: "COPIES", align: "right", droppable: true, cell: (volume) => volume.redundancy },
  { title: "HEALTH", cell: showHealth },
  { title: "ATTACHED TO", cell: showBinding },
  { title: "LAST ERROR", narrows: "fold", least: 13, cell: (volume) => volume.bind_error },
];

const memberNames = new Map<number, string>(
  Object.entries(MemberStatus).map(([name, value]) => [value, name]),
);

/** A row of the layout: one member of one mirror. */
export interface MemberRow {
  readonly mirror: string;
  readonly capacity: number;
  readonly extent: string;
  readonly server: string;
  readonly disk: string;
  readonly offset: number;
  readonly status: string;
}

export const memberColumns: readonly Column<MemberRow>[] = [
  { title: "MIRROR", cell: (row) => row.mirror },
  { title: "GB", align: "right", cell: (row) => row.capacity },
  { title: "EXTENT", cell: (row) => row.extent },
  { title: "SERVER", cell: (row) => row.server },
  { title: "DISK", cell: (row) => row.disk },
  { title: "OFFSET", align: "right", droppable: true, cell: (row) => row.offset },
  { title: "STATUS", cell: (row) => row.status },
];

export function memberRows(volume: VolumeNode | SnapshotNode): MemberRow[] {
  const mirrors = linearOf(volume).components;
  return mirrors.flatMap((mirror) =>
    mirror.components.map((extent) => ({
      mirror: showMirror(mirror.lvolid),
      capacity: extent.capacity,
      extent: showExtent(extent.lvolid),
      server: showStorageServer(extent.lvolspec.ssvrid),
      disk: showDisk(extent.lvolspec.pdskid),
      offset: extent.lvolspec.offset,
      status: memberNames.get(extent.mirror_status) ?? String(extent.mirror_status),
    })),
  );
}

function describeVolume(volume: VolumeNode | SnapshotNode): string {
  const { lvolname, redundancy, ctime } = volume.lvolspec;
  return `${showVolume(volume.lvolid)} ${lvolname}: ${volume.capacity} GB, ${redundancy} copies, created ${ctime} UTC`;
}

const VOLUME = "name, or id as lvol-XXXXXXXX or its eight digits";

/** `vas volume …` */
export function addVolumeCommands(program: Command, makeContext: MakeContext): void {
  const group = program.command("volume").description("create, attach and delete volumes");

  group
    .command("create")
    .description("create a volume")
    .argument("<name>", "1 to 64 characters of A-Z a-z 0-9 . - _")
    .requiredOption("--size <GB>", "capacity in GB", parseWholeNumber)
    .option("--redundancy <copies>", "copies of the data, 2 to 9 (default: 3)", parseWholeNumber)
    .action(async (lvolname: string, options: { size: number; redundancy?: number }) => {
      const context = makeContext();
      const { size: capacity, redundancy } = options;
      const params = { lvolname, capacity, ...(redundancy === undefined ? {} : { redundancy }) };
      const lvolid = await context.client.call("createLogicalVolume", params);
      show(context, { lvolid }, () => [`created ${showVolume(lvolid)} ${lvolname}`]);
    });

  group
    .command("list")
    .description("list all volumes, or the one named")
    .argument("[volume]", VOLUME)
    .action(async (volume: string | undefined) => {
      const context = makeContext();
      const named = volume === undefined ? {} : volumeArgument(volume);
      showTable(context, volumeColumns, await context.client.call("listLogicalVolumes", named));
    });

  group
    .command("show")
    .description("show how a volume is built")
    .argument("<volume>", VOLUME)
    .action(async (volume: string) => {
      const context = makeContext();
      const tree = await context.client.call("showLogicalVolume", volumeArgument(volume));
      show(context, tree, () => [
        ...fold(describeVolume(tree), context.terminal.width),
        ...renderTable(context.terminal, memberColumns, memberRows(tree)),
      ]);
    });

  group
    .command("attach")
    .description("make a volume a block device on a head server")
    .argument("<volume>", VOLUME)
    .requiredOption("--head <server>", "head server, hsvr-XXXXXXXX or a number", (text) =>
      parseId("hsvr", text),
    )
    .action(async (volume: string, options: { head: number }) => {
      const context = makeContext();
      await context.client.call("attachLogicalVolume", { ...volumeArgument(volume), hsvrid: options.head });
      show(context, { hsvrid: options.head }, () => [`attached to ${showHeadServer(options.head)}`]);
    });

  group
    .command("detach")
    .description("flush a volume and take it from its head server")
    .argument("<volume>", VOLUME)
    .action(async (volume: string) => {
      const context = makeContext();
      await context.client.call("detachLogicalVolume", volumeArgument(volume));
      show(context, {}, () => ["detached"]);
    });

  group
    .command("delete")
    .description("delete a volume and overwrite its data")
    .argument("<volume>", VOLUME)
    .action(async (volume: string) => {
      const context = makeContext();
      await context.client.call("deleteLogicalVolume", volumeArgument(volume));
      show(context, {}, () => ["deleted; its space is overwritten before anyone else gets it"]);
    });
}
