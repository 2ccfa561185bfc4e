import { showHeadServer, showVolume } from "../../shared/ids.js";
import type { Association, VolumeInfo } from "../../shared/methods/manager-methods.js";
import { BindEvent, BindStatus } from "../../shared/states.js";
import { printf, showGb } from "./printf.js";

const FORMAT = "%-14s %-12s %12s %8s %-14s %-12s %-19s";

/** The head server, and in front of it what is happening there: attached, attaching, detaching, or an error. */
function showBinding(volume: VolumeInfo): string {
  if (volume.hsvrid === 0) return " ---";
  return bindingMark(volume) + showHeadServer(volume.hsvrid);
}

function bindingMark({ bind_status, bind_event }: VolumeInfo): string {
  if (bind_status === BindStatus.ERROR) return "*";
  if (bind_event === BindEvent.BINDING) return "+";
  return bind_event === BindEvent.UNBINDING ? "-" : " ";
}

const associationLines = (title: string, associations: readonly Association[]): string[] =>
  associations
    .filter(({ type }) => type === "snapshot")
    .map(({ lvolid }) => `\t${title} of ${showVolume(lvolid)}`);

function volumeLines(volume: VolumeInfo): string[] {
  const row = printf(
    FORMAT,
    showVolume(volume.lvolid),
    volume.lvolname,
    volume.redundancy,
    showGb(volume.capacity),
    showBinding(volume),
    volume.fault ? "yes" : "---",
    volume.ctime,
  );
  return [
    row,
    ...associationLines("snapshot", volume.associated_to),
    ...associationLines("snapshot-origin", volume.associated_from),
  ];
}

/** The output of `lvol_list`. */
export function formatVolumes(volumes: readonly VolumeInfo[]): string[] {
  const titles = printf(
    FORMAT,
    "lvolid",
    "lvolname",
    "redundancy",
    "capacity",
    " hsvrid",
    "failure",
    "ctime",
  );
  return [titles, ...volumes.flatMap(volumeLines)];
}
