import type { Command } from "commander";
import { showHeadServer, showStorageServer } from "../../shared/ids.js";
import type { HeadServerInfo, StorageServerInfo } from "../../shared/methods/manager-methods.js";
import { type Column, renderTable } from "../table.js";
import { evacuationLine, parseId, parseServerId, showPriority } from "./arguments.js";
import { type CommandContext, type MakeContext, show } from "./context.js";
import { diskColumns } from "./disk.js";
import { volumeColumns } from "./volume.js";

type ServerId = ReturnType<typeof parseServerId>;

/** Of an IPv4 address. */
const ADDRESS_WIDTH = 15;

export const headColumns: readonly Column<HeadServerInfo>[] = [
  { title: "HEAD SERVER", cell: (server) => showHeadServer(server.hsvrid) },
  { title: "STATE", cell: (server) => showPriority(server.priority) },
  {
    title: "ADDRESSES",
    narrows: "fold",
    least: ADDRESS_WIDTH,
    cell: (server) => server.ip_data.join(" "),
  },
  { title: "RESYNCS", align: "right", droppable: true, cell: (server) => server.resync },
];

export const storageColumns: readonly Column<StorageServerInfo>[] = [
  { title: "STORAGE SERVER", cell: (server) => showStorageServer(server.ssvrid) },
  { title: "STATE", cell: (server) => showPriority(server.priority) },
  {
    title: "ADDRESSES",
    narrows: "fold",
    least: ADDRESS_WIDTH,
    cell: (server) => server.ip_data.join(" "),
  },
  { title: "ZONE", narrows: "cut", cell: (server) => server.zone },
  { title: "RESYNCS", align: "right", droppable: true, cell: (server) => server.resync },
  { title: "FREE GB", align: "right", cell: (server) => server.available },
  { title: "GB", align: "right", cell: (server) => server.capacity },
];

async function listServers(context: CommandContext): Promise<void> {
  const [heads, storage] = await Promise.all([
    context.client.call("listHeadServers", {}),
    context.client.call("listStorageServers", {}),
  ]);
  show(context, { heads, storage }, () => [
    ...renderTable(context.terminal, headColumns, heads),
    "",
    ...renderTable(context.terminal, storageColumns, storage),
  ]);
}

/** A server, and what depends on it: the volumes of a head server, the disks of a storage server. */
async function showServer(context: CommandContext, id: ServerId): Promise<void> {
  const { client, terminal } = context;
  if ("hsvrid" in id) {
    const heads = await client.call("listHeadServers", id);
    const all = await client.call("listLogicalVolumes", {});
    const volumes = all.filter(({ hsvrid }) => hsvrid === id.hsvrid);
    show(context, { heads, volumes }, () => [
      ...renderTable(terminal, headColumns, heads),
      "",
      ...renderTable(terminal, volumeColumns, volumes),
    ]);
    return;
  }
  const storage = await client.call("listStorageServers", id);
  const disks = await client.call("listPhysicalDisks", id);
  show(context, { storage, disks }, () => [
    ...renderTable(terminal, storageColumns, storage),
    "",
    ...renderTable(terminal, diskColumns, disks),
  ]);
}

async function deleteServer(context: CommandContext, id: ServerId): Promise<void> {
  if ("hsvrid" in id) await context.client.call("deleteHeadServer", id);
  else await context.client.call("deleteStorageServer", id);
  const shown = "hsvrid" in id ? showHeadServer(id.hsvrid) : showStorageServer(id.ssvrid);
  show(context, {}, () => [`deleted ${shown}`]);
}

/** `vas server …` */
export function addServerCommands(program: Command, makeContext: MakeContext): void {
  const group = program.command("server").description("head and storage servers");
  const add = (name: string, description: string): Command => group.command(name).description(description);
  const id = ["<id>", "hsvr-XXXXXXXX or ssvr-XXXXXXXX", parseServerId] as const;

  add("list", "list head servers and storage servers").action(() => listServers(makeContext()));
  add("show", "show a server, and its volumes or disks")
    .argument(...id)
    .action((server: ServerId) => showServer(makeContext(), server));
  add(
    "delete",
    "forget a server that is OFFLINE or FAULTY, or was evacuated; a storage server's disks with it",
  )
    .argument(...id)
    .action((server: ServerId) => deleteServer(makeContext(), server));
  add("evacuate", "have all copies on a storage server made elsewhere, so that it can be deleted")
    .argument("<id>", "ssvr-XXXXXXXX or a number", (text) => parseId("ssvr", text))
    .option("--cancel", "keep it in use after all")
    .action(async (ssvrid: number, { cancel = false }: { cancel?: boolean }) => {
      const context = makeContext();
      await context.client.call("evacuateStorageServer", { ssvrid, cancel });
      show(context, {}, () => [evacuationLine(showStorageServer(ssvrid), cancel)]);
    });
}
