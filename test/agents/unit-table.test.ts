import { expect, test } from "vitest";
import { showTable } from "../../agents/common/device-mapper.js";
import { parseTargetName } from "../../agents/storage/kernel/find-targets.js";
import { parseUnitName, unitName } from "../../agents/storage/kernel/unit.js";
import { closedTable, diskOf, grantTable, lengthOf } from "../../agents/storage/kernel/unit-table.js";
import { ownerTag, serverName, targetName } from "../../shared/iscsi-names.js";
import { extentPlace, GIB, MIB } from "../../shared/units.js";

const disk = { number: "254:16", bytes: 4 * GIB };
const place = (offset: number, length: number) => extentPlace(offset, length);
const SECTORS_PER_MIB = 2048;

test("a unit shows what is granted at its place behind a margin of zeros, and errors everywhere else", () => {
  const table = grantTable([place(2, 1), place(0, 1)], disk);
  expect(showTable(table).split("\n")).toEqual([
    `0 ${SECTORS_PER_MIB} zero`,
    `${SECTORS_PER_MIB} ${1025 * SECTORS_PER_MIB} linear 254:16 0`,
    `${1026 * SECTORS_PER_MIB} ${1025 * SECTORS_PER_MIB} error`,
    `${2051 * SECTORS_PER_MIB} ${1025 * SECTORS_PER_MIB} linear 254:16 ${2050 * SECTORS_PER_MIB}`,
    `${3076 * SECTORS_PER_MIB} ${1021 * SECTORS_PER_MIB} error`,
    `${4097 * SECTORS_PER_MIB} ${SECTORS_PER_MIB} zero`,
  ]);
});

test("the length of a unit is that of its disk with both margins, whatever is granted", () => {
  for (const extents of [[], [place(0, 1)], [place(0, 2), place(2, 1)]]) {
    const table = showTable(grantTable(extents, disk));
    expect(lengthOf(table)).toBe(4098 * SECTORS_PER_MIB);
    expect(diskOf(table)).toBe(extents.length === 0 ? undefined : "254:16");
  }
  expect(showTable(closedTable(4098 * SECTORS_PER_MIB))).toBe(`0 ${4098 * SECTORS_PER_MIB} error`);
});

test("extents side by side are one segment, and a disk that is granted to its end has no errors behind it", () => {
  const whole = { ...disk, bytes: place(0, 3).end };
  expect(grantTable([place(1, 2), place(0, 1)], whole).map(({ target }) => target)).toEqual([
    "zero",
    "linear 254:16 0",
    "zero",
  ]);
});

test("extents that overlap or end behind the disk are refused", () => {
  expect(() => grantTable([place(0, 2), place(1, 1)], disk)).toThrow("EINVAL");
  expect(() => grantTable([place(3, 1)], { ...disk, bytes: 4 * GIB - MIB })).toThrow("EINVAL");
});

test("a unit is known by its name, to its owner alone", () => {
  const owner = ownerTag("/var/lib/vas/storage");
  const unit = { lvolid: 0x12ab, epoch: 17, pdskid: 0x7fffffff };
  expect(unitName(owner, unit)).toBe(`vas-${owner}-000012ab-17-7fffffff`);
  expect(parseUnitName(owner, unitName(owner, unit))).toEqual(unit);
  expect(parseUnitName(ownerTag("/other"), unitName(owner, unit))).toBeUndefined();
  for (const other of ["vas-", `vas-${owner}-000012ab-path-00000001`, `${unitName(owner, unit)}-1`])
    expect(parseUnitName(owner, other)).toBeUndefined();
});

test("a target is known by its name, of whatever boot and prefix, to its owner alone", () => {
  const [folder, other] = ["/var/lib/vas/storage", "/other"];
  for (const prefix of ["iqn.2026-01.org.example", "iqn.2010-10.com.example.vas"])
    for (const boot of ["one", "two"]) {
      const name = targetName(serverName(prefix, folder, boot), 9, 3);
      expect(parseTargetName(ownerTag(folder), name)).toEqual({ lvolid: 9, epoch: 3 });
      expect(parseTargetName(ownerTag(other), name)).toBeUndefined();
    }
  expect(parseTargetName(ownerTag(folder), "iqn.2026-01.org.example:disk")).toBeUndefined();
});
