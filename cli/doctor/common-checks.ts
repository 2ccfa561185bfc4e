import { type Finding, hint, ok, wrong } from "./finding.js";
import type { Host } from "./host.js";
import { type HostFile, INSTALL_SCRIPT, modulesIn, multipathConf, udevRules } from "./host-files.js";

/** A program, and the Debian package that has it. */
export function checkProgram(host: Host, name: string, debianPackage: string): Finding {
  const what = `program ${name}`;
  return host.hasProgram(name) ? ok(what) : wrong(what, `not found: apt-get install ${debianPackage}`);
}

/** What a file of modules names can be loaded, and will be at each boot. */
export async function checkModules(host: Host, file: HostFile): Promise<Finding[]> {
  const checked = modulesIn(file).map(async (module): Promise<Finding> => {
    const what = `module ${module}`;
    const advice = "this kernel does not have it: install Debian's linux-image-amd64, not the cloud flavour";
    return (await host.hasModule(module)) ? ok(what) : wrong(what, advice);
  });
  return [checkProgram(host, "modprobe", "kmod"), ...(await Promise.all(checked)), checkFile(host, file)];
}

/** A file that is to be installed as it is packaged. */
export function checkFile(host: Host, { path, text }: HostFile): Finding {
  const found = host.read(path);
  if (found === text) return ok(path);
  const how = found === undefined ? "not installed" : "not the one of this version";
  return wrong(path, `${how}: run ${INSTALL_SCRIPT}`);
}

/** Nobody but us acts on what volumes are made of. */
export function checkOthers(host: Host): Finding[] {
  return [...udevRules().map((file) => checkFile(host, file)), checkLvm(host)];
}

/** multipath, where it is installed, leaves the disks of storage servers alone. */
export function checkMultipath(host: Host): Finding {
  if (!host.hasProgram("multipath")) return ok("multipath", "not installed, and not needed");
  return checkFile(host, multipathConf());
}

function checkLvm(host: Host): Finding {
  if (!host.hasProgram("lvm")) return ok("LVM", "not installed, and not needed");
  const conf = host.read("/etc/lvm/lvm.conf") ?? "";
  const filters = conf.split("\n").filter((line) => /^\s*global_filter\s*=/.test(line));
  if (filters.some((line) => /vas-|"r\|\.\*\|"/.test(line))) return ok("LVM");
  return hint(
    "LVM",
    'finds what users of volumes made, when it scans: set global_filter = [ "r|^/dev/mapper/vas-|", "r|^/dev/vas/|" ] in /etc/lvm/lvm.conf',
  );
}
