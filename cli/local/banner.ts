import { relative } from "node:path";
import { showHeadServer } from "../../shared/ids.js";
import type { HeadServerInfo } from "../../shared/methods/manager-methods.js";
import { runFolder } from "./folder.js";
import type { LocalRun } from "./run.js";
import { logPath } from "./server.js";

const short = (path: string): string => {
  const below = relative(process.cwd(), path);
  return below.startsWith("..") || below === "" ? path : below;
};

/** What runs where, a line each. */
export function processLines(run: LocalRun): string[] {
  return run.servers.map((server) => {
    const pids =
      server
        .processes()
        .map(({ pid }) => pid)
        .join(" ") || "not running";
    return `  ${server.plan.name.padEnd(11)}${server.plan.address.padEnd(16)}${`pid ${pids}`.padEnd(22)}log ${short(logPath(server.plan))}`;
  });
}

/** Where a head server's volumes can be opened. Ids follow the order of registration, so they are looked up. */
function headLines(run: LocalRun, heads: readonly HeadServerInfo[]): string[] {
  return run.heads.map(({ plan }) => {
    const id = heads.find((head) => head.ip_data.includes(plan.address))?.hsvrid;
    const shown = id === undefined ? "not registered" : showHeadServer(id);
    return `  ${shown}  ${short(`${runFolder(run.folder)}/${plan.name}`)}/<volume>`;
  });
}

/** What to try next, to be typed into a second terminal in the same folder. */
export function nextCommands(run: LocalRun, program: string, heads: readonly HeadServerInfo[]): string[] {
  const first = run.heads[0];
  const socket = `${short(`${runFolder(run.folder)}/${first?.plan.name}`)}/demo`;
  const config = short(run.folder) === ".vastsky" ? "" : ` --config ${short(run.folder)}/vas.conf`;
  const state = config === "" ? "" : ` --state ${short(run.folder)}`;
  const head =
    heads.find(({ ip_data }) => first !== undefined && ip_data.includes(first.plan.address))?.hsvrid ?? 1;
  return [
    "",
    "Sockets of attached volumes:",
    ...headLines(run, heads),
    "",
    "Try in a second terminal, in this folder:",
    `  alias vas="node ${short(program)}${config}"`,
    "  vas volume create demo --size 2",
    `  vas volume attach demo --head ${head}`,
    `  volume='nbd+unix:///?socket=${socket}'`,
    `  qemu-io -f raw "$volume" -c 'write -P 42 0 64M' -c flush  # of qemu-utils`,
    `  vas local kill storage-2${state}      # lose a storage server`,
    `  qemu-io -f raw "$volume" -c 'read -P 42 0 64M'`,
    "  vas status --watch             # see it heal",
    "",
    "Ctrl-C here detaches all volumes and stops everything.",
  ];
}
