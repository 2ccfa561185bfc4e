import { showHeadServer, showStorageServer } from "../../shared/ids.js";
import type { HeadServerInfo, StorageServerInfo } from "../../shared/methods/manager-methods.js";
import { showPriority } from "../commands/arguments.js";
import { formatTotal } from "./format-total.js";
import { printf, showGb, showUse } from "./printf.js";

const HEAD_FORMAT = "%-14s %-9s%6s";
const STORAGE_FORMAT = "%-14s %-9s%6s %10s %10s %5s";

const addressLines = (addresses: readonly string[]): string[] =>
  addresses.map((address) => `\tinet ${address}`);

/** The output of `hsvr_list`. */
export function formatHeadServers(servers: readonly HeadServerInfo[]): string[] {
  const lines = servers.flatMap((server) => [
    printf(HEAD_FORMAT, showHeadServer(server.hsvrid), showPriority(server.priority), server.resync),
    ...addressLines(server.ip_data),
  ]);
  return [printf(HEAD_FORMAT, "hsvrid", "priority", "resync"), ...lines];
}

/** The output of `ssvr_list`. */
export function formatStorageServers(servers: readonly StorageServerInfo[]): string[] {
  const lines = servers.flatMap((server) => [
    printf(
      STORAGE_FORMAT,
      showStorageServer(server.ssvrid),
      showPriority(server.priority),
      server.resync,
      showGb(server.capacity),
      showGb(server.available),
      showUse(server.available, server.capacity),
    ),
    ...addressLines(server.ip_data),
  ]);
  const titles = printf(STORAGE_FORMAT, "ssvrid", "priority", "resync", "capacity", "available", "use%");
  return [formatTotal(servers), titles, ...lines];
}
