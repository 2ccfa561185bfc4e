import { lstat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { UNIT_PRODUCT, unitSerial } from "../../../shared/iscsi-names.js";
import type { Chap } from "../../../shared/methods/agent-methods.js";
import { devicePath } from "../../common/device-mapper.js";
import { runProgram } from "../../common/run-program.js";
import { BACKSTORES, isOn, makeFolder, namesIn, setAttributes } from "./configfs.js";
import { lunFolder, targetFolder } from "./find-targets.js";
import { setAccess } from "./target-access.js";
import type { Unit } from "./unit.js";

export interface UnitPlan {
  readonly unit: Unit;
  /** Of its device, and of its backstore. */
  readonly name: string;
  readonly target: string;
  /** `ADDRESS:PORT`, IPv6 addresses in brackets. */
  readonly portals: readonly string[];
  /** Name and secret of those who may log in; undefined if everybody may. */
  readonly chap: Chap | undefined;
}

/** Written to in long segments, unlike the 8 KiB that LIO asks for by itself. */
const SEGMENT_BYTES = 262_144;

/**
 * Makes a device the unit of a target, with all that is missing for that. What was half made is finished. One at a
 * time for a target.
 *
 * @throws the error of the kernel's that was in the way
 */
export async function raiseUnit({ unit, name, target, portals, chap }: UnitPlan): Promise<void> {
  const folder = targetFolder(target);
  const lun = lunFolder(target, unit.pdskid);
  const isEnabled = await isOn(join(folder, "enable"));
  // The link comes last of all that concerns the unit alone.
  if (!(await isLinked(lun))) await raiseBackstore(unit, name);
  await makeFolder(folder);
  await setAccess(folder, chap);
  if (!isEnabled) {
    await setAttributes(join(folder, "param"), { MaxRecvDataSegmentLength: String(SEGMENT_BYTES) });
  }
  await setPortals(folder, portals);
  if (!(await isLinked(lun))) {
    await makeFolder(lun);
    await symlink(join(BACKSTORES, name), join(lun, LINK));
  }
  if (!isEnabled) await writeFile(join(folder, "enable"), "1");
}

/** The name of the link by which a unit leads to its backstore. */
const LINK = "port";

async function isLinked(lun: string): Promise<boolean> {
  return lstat(join(lun, LINK)).then(
    () => true,
    () => false,
  );
}

async function raiseBackstore(unit: Unit, name: string): Promise<void> {
  const folder = join(BACKSTORES, name);
  await makeFolder(folder);
  if (!(await isOn(join(folder, "enable")))) {
    await writeFile(join(folder, "control"), `udev_path=${devicePath(name)}`);
    await writeFile(join(folder, "enable"), "1");
  }
  await setAttributes(join(folder, "wwn"), {
    product_id: UNIT_PRODUCT,
    vpd_unit_serial: unitSerial(unit.lvolid, unit.epoch, unit.pdskid),
  });
  // Of no use to md; and a copy that the target makes by itself, or a reservation that a head leaves, is none of ours.
  await setAttributes(join(folder, "attrib"), { emulate_3pc: "0", emulate_pr: "0" });
}

async function setPortals(folder: string, portals: readonly string[]): Promise<void> {
  const np = join(folder, "np");
  const found = (await namesIn(np)) ?? [];
  for (const portal of portals) if (!found.includes(portal)) await makeFolder(join(np, portal));
  for (const portal of found)
    if (!portals.includes(portal)) await runProgram("rmdir", [join(np, portal)], { timeoutMs: 5000 });
}
