import { checkModules, checkMultipath, checkOthers, checkProgram } from "./common-checks.js";
import { type Finding, hint, ok, wrong } from "./finding.js";
import type { Host } from "./host.js";
import { modulesFile } from "./host-files.js";

const programs = {
  dmsetup: "dmsetup",
  mdadm: "mdadm",
  iscsiadm: "open-iscsi",
  udevadm: "udev",
} as const;

/** What a head server of the kernel data plane needs of its host. */
export async function checkHead(host: Host): Promise<Finding[]> {
  return [
    ...Object.entries(programs).map(([name, from]) => checkProgram(host, name, from)),
    ...(await checkModules(host, modulesFile("head"))),
    checkIscsid(host),
    checkInitiatorName(host),
    ...checkOthers(host),
    checkMultipath(host),
    checkMdadmConf(host),
  ];
}

/** iscsid runs, or systemd starts it when it is wanted. */
function checkIscsid(host: Host): Finding {
  if (host.isRunning("iscsid")) return ok("iscsid");
  const units = ["/lib/systemd/system", "/usr/lib/systemd/system", "/etc/systemd/system"];
  const isStarted =
    host.isRunning("systemd") && units.some((folder) => host.read(`${folder}/iscsid.socket`) !== undefined);
  if (isStarted) return ok("iscsid", "systemd starts it when it is needed");
  return wrong("iscsid", "does not run: systemctl enable --now iscsid");
}

/** Storage servers tell heads by it; two with the same one throw each other out. */
function checkInitiatorName(host: Host): Finding {
  const path = "/etc/iscsi/initiatorname.iscsi";
  const text = host.read(path);
  if (text === undefined) return wrong(path, "can't be read: reinstall open-iscsi, and run this as root");
  const isThere = /^(InitiatorName=iqn\.\S+|GenerateName=yes)$/m.test(text);
  return isThere
    ? ok(path)
    : wrong(path, "names no initiator: InitiatorName=iqn.…, another one on each host");
}

/** `mdadm --assemble --scan` by hand or at boot takes arrays of this host alone. */
function checkMdadmConf(host: Host): Finding {
  const path = "/etc/mdadm/mdadm.conf";
  const text = host.read(path) ?? host.read("/etc/mdadm.conf") ?? "";
  // `homehost` without its plus would let everything in.
  if (/^AUTO(?:\s+\+homehost)?\s+-all\s*$/m.test(text)) return ok(path);
  return hint(
    path,
    'has no "AUTO +homehost -all": mdadm --assemble --scan would take mirrors of volumes for arrays of this host',
  );
}
