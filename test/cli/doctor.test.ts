import { expect, test } from "vitest";
import { examine, type Role, roleOf } from "../../cli/doctor/examine.js";
import type { Host } from "../../cli/doctor/host.js";
import { modulesFile, modulesIn, multipathConf, udevRules } from "../../cli/doctor/host-files.js";
import { loadConfig } from "../../shared/config.js";

/** A host that has everything, but what a test takes away or puts there. */
interface Told {
  readonly programs?: readonly string[];
  readonly running?: readonly string[];
  readonly withoutModule?: string;
  /** Files in place of those that are installed; null takes one away. */
  readonly files?: Readonly<Record<string, string | null>>;
  readonly disks?: Readonly<Record<string, "block" | "file">>;
}

const installed = Object.fromEntries(
  [...udevRules(), modulesFile("head"), modulesFile("storage")].map(({ path, text }) => [path, text]),
);

function hostOf(told: Told): Host {
  const programs = told.programs ?? ["dmsetup", "mdadm", "iscsiadm", "udevadm", "modprobe"];
  const files: Readonly<Record<string, string | null>> = {
    ...installed,
    "/etc/iscsi/initiatorname.iscsi": "## a comment\nInitiatorName=iqn.1993-08.org.debian:01:abc\n",
    "/etc/mdadm/mdadm.conf": "HOMEHOST <system>\nAUTO +homehost -all\n",
    "/proc/mounts": "configfs /sys/kernel/config configfs rw,nosuid 0 0\n",
    ...told.files,
  };
  return {
    hasProgram: (name) => programs.includes(name),
    hasModule: async (name) => name !== told.withoutModule,
    isRunning: (program) => (told.running ?? ["iscsid"]).includes(program),
    read: (path) => files[path] ?? undefined,
    kindOf: (path) => told.disks?.[path] ?? "absent",
  };
}

const config = (plane: string, disks = "") =>
  loadConfig(undefined, {
    VAS_HSVR_AGENT_DATA_PLANE: plane,
    VAS_SSVR_AGENT_DATA_PLANE: plane,
    VAS_SSVR_AGENT_DISKS: disks,
  });

/** What is not ok: `verdict what`. */
async function complaints(told: Told, role: Role = "both", disks = ""): Promise<string[]> {
  const findings = await examine(hostOf(told), config("kernel", disks), role);
  return findings.filter(({ verdict }) => verdict !== "ok").map(({ verdict, what }) => `${verdict} ${what}`);
}

test("a host that has everything is found to be well, in each of its roles", async () => {
  for (const role of ["head", "storage", "both"] as const) expect(await complaints({}, role)).toEqual([]);
});

test("what is missing is told, each thing where it is needed", async () => {
  const bare = { programs: ["modprobe"], running: [] };
  expect(await complaints(bare, "head")).toEqual([
    "wrong program dmsetup",
    "wrong program mdadm",
    "wrong program iscsiadm",
    "wrong program udevadm",
    "wrong iscsid",
  ]);
  expect(await complaints(bare, "storage")).toEqual(["wrong program dmsetup", "wrong program udevadm"]);
  expect(await complaints({ withoutModule: "raid1" }, "head")).toEqual(["wrong module raid1"]);
  expect(await complaints({ withoutModule: "raid1" }, "storage")).toEqual([]);
  expect(await complaints({ withoutModule: "iscsi_target_mod" })).toEqual(["wrong module iscsi_target_mod"]);
  expect(await complaints({ files: { "/proc/mounts": "" } })).toEqual([
    "wrong configfs in /sys/kernel/config",
  ]);
});

test("iscsid need not run where systemd starts it", async () => {
  const files = { "/lib/systemd/system/iscsid.socket": "[Socket]" };
  expect(await complaints({ running: ["systemd"], files }, "head")).toEqual([]);
  expect(await complaints({ running: ["systemd"] }, "head")).toEqual(["wrong iscsid"]);
});

test("rules that are not installed, or of another version, are told", async () => {
  const [first = "", second = ""] = udevRules().map(({ path }) => path);
  expect(await complaints({ files: { [first]: null, [second]: "# mine" } })).toEqual([
    `wrong ${first}`,
    `wrong ${second}`,
  ]);
});

test("multipath and LVM matter only where they are installed", async () => {
  const programs = ["dmsetup", "mdadm", "iscsiadm", "udevadm", "modprobe", "multipath", "lvm"];
  const { path, text } = multipathConf();
  expect(await complaints({ programs }, "head")).toEqual(["hint LVM", `wrong ${path}`]);
  const filtered = 'devices {\n  global_filter = [ "r|^/dev/mapper/vas-|", "r|^/dev/vas/|" ]\n}\n';
  expect(await complaints({ programs, files: { [path]: text, "/etc/lvm/lvm.conf": filtered } })).toEqual([]);
});

test("mdadm's configuration is enough if it takes arrays of this host alone", async () => {
  const withAuto = (line: string) =>
    complaints({ files: { "/etc/mdadm/mdadm.conf": `HOMEHOST <system>\n${line}\n` } }, "head");
  expect(await withAuto("AUTO -all")).toEqual([]);
  expect(await withAuto("AUTO homehost -all")).toEqual(["hint /etc/mdadm/mdadm.conf"]);
  expect(await withAuto("AUTO +1.x homehost -all")).toEqual(["hint /etc/mdadm/mdadm.conf"]);
  expect(await withAuto("#AUTO +homehost -all")).toEqual(["hint /etc/mdadm/mdadm.conf"]);
});

test("disks must be there, and block devices unless the data plane is nbd", async () => {
  const disks = { "/dev/sda": "block", "/srv/disk": "file" } as const;
  const list = "/dev/sda /srv/disk /dev/gone";
  expect(await complaints({ disks }, "storage", list)).toEqual([
    "wrong disk /srv/disk",
    "wrong disk /dev/gone",
  ]);
  const onNbd = await examine(hostOf({ disks, programs: [] }), config("nbd", list), "storage");
  expect(onNbd.filter(({ verdict }) => verdict !== "ok").map(({ what }) => what)).toEqual(["disk /dev/gone"]);
});

test("a host that offers disks is a storage server, unless it is said what it is", () => {
  expect(roleOf(config("kernel", "/dev/sda"), undefined)).toBe("storage");
  expect(roleOf(config("kernel"), undefined)).toBe("head");
  expect(roleOf(config("kernel", "/dev/sda"), "both")).toBe("both");
});

test("the modules that are loaded at boot are named one on a line", () => {
  for (const role of ["head", "storage"] as const) {
    expect(modulesIn(modulesFile(role)).every((name) => /^[a-z0-9_]+$/.test(name))).toBe(true);
  }
});
