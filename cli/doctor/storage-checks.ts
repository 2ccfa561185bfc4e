import { checkModules, checkOthers, checkProgram } from "./common-checks.js";
import { type Finding, ok, wrong } from "./finding.js";
import type { Host } from "./host.js";
import { modulesFile } from "./host-files.js";

/** What a storage server of the kernel data plane needs of its host. @param port of its iSCSI targets */
export async function checkStorage(host: Host, port: number): Promise<Finding[]> {
  return [
    checkProgram(host, "dmsetup", "dmsetup"),
    checkProgram(host, "udevadm", "udev"),
    ...(await checkModules(host, modulesFile("storage"))),
    checkConfigfs(host),
    checkTgt(host, port),
    ...checkOthers(host),
  ];
}

/** Disks that are offered are there. @param mustBeBlock files are disks on the data plane nbd alone */
export function checkDisks(host: Host, disks: readonly string[], mustBeBlock: boolean): Finding[] {
  return disks.map((path) => {
    const what = `disk ${path}`;
    const kind = host.kindOf(path);
    if (kind === "block" || (kind === "file" && !mustBeBlock)) return ok(what);
    if (kind === "absent") return wrong(what, "is not there: see [ssvr_agent] disks");
    return wrong(what, `is no ${mustBeBlock ? "block device" : "block device or file"}`);
  });
}

function checkConfigfs(host: Host): Finding {
  const what = "configfs in /sys/kernel/config";
  const isMounted = / \/sys\/kernel\/config configfs /.test(host.read("/proc/mounts") ?? "");
  return isMounted
    ? ok(what)
    : wrong(what, "is not mounted: mount -t configfs configfs /sys/kernel/config, or let systemd do it");
}

function checkTgt(host: Host, port: number): Finding {
  const what = "no other iSCSI target";
  if (!host.isRunning("tgtd")) return ok(what);
  return wrong(what, `tgtd runs, and may have port ${port}: systemctl disable --now tgt`);
}
