import type { Command } from "commander";
import { showHeadServer, showStorageServer } from "../../shared/ids.js";
import type { HeadServerInfo, StorageServerInfo } from "../../shared/methods/manager-methods.js";
import { type Column, renderTable } from "../table.js";
import { showPriority } from "./arguments.js";
import { type MakeContext, show } from "./context.js";

const headColumns: readonly Column<HeadServerInfo>[] = [
  { title: "HEAD SERVER", cell: (server) => showHeadServer(server.hsvrid) },
  { title: "STATE", cell: (server) => showPriority(server.priority) },
  { title: "ADDRESSES", flexible: true, cell: (server) => server.ip_data.join(" ") },
  { title: "RESYNCS", align: "right", cell: (server) => server.resync },
];

const storageColumns: readonly Column<StorageServerInfo>[] = [
  { title: "STORAGE SERVER", cell: (server) => showStorageServer(server.ssvrid) },
  { title: "STATE", cell: (server) => showPriority(server.priority) },
  { title: "ADDRESSES", flexible: true, cell: (server) => server.ip_data.join(" ") },
  { title: "ZONE", flexible: true, cell: (server) => server.zone },
  { title: "RESYNCS", align: "right", cell: (server) => server.resync },
  { title: "FREE GB", align: "right", cell: (server) => server.available },
  { title: "GB", align: "right", cell: (server) => server.capacity },
];

/** `vas server list` */
export function addServerCommands(program: Command, makeContext: MakeContext): void {
  const group = program.command("server").description("head and storage servers");
  group
    .command("list")
    .description("list head servers and storage servers")
    .action(async () => {
      const context = makeContext();
      const [heads, storage] = await Promise.all([
        context.client.call("listHeadServers", {}),
        context.client.call("listStorageServers", {}),
      ]);
      show(context, { heads, storage }, () => [
        ...renderTable(context.terminal, headColumns, heads),
        "",
        ...renderTable(context.terminal, storageColumns, storage),
      ]);
    });
}
