import { expect, test } from "vitest";
import { parseExamined } from "../../agents/head/kernel/md.js";
import { extentOfName, VolumeNames } from "../../agents/head/kernel/names.js";
import {
  ownerTag,
  parseUnitPath,
  serverName,
  showUnitPath,
  targetName,
  unitSerial,
} from "../../shared/iscsi-names.js";

/** What the kernel takes as the name of a block device, with its closing zero. */
const DISK_NAME_LEN = 32;

test("every device of a volume is named after it, its agent and what it is", () => {
  const names = new VolumeNames("0badcafe", 0x7fffffff);
  const devices = [names.top, names.linear(6), names.snapshot(9), names.extent(0x101), names.path(0x101, 1)];
  expect(devices).toEqual([
    "vas-0badcafe-7fffffff-top",
    "vas-0badcafe-7fffffff-linear-00000006",
    "vas-0badcafe-7fffffff-snap-00000009",
    "vas-0badcafe-7fffffff-ext-00000101",
    "vas-0badcafe-7fffffff-path-00000101-1",
  ]);
  for (const device of devices) expect(device.startsWith(names.prefix)).toBe(true);
  expect(devices.map(extentOfName)).toEqual([undefined, undefined, undefined, 0x101, 0x101]);
  expect(`md_${names.array(0x7fffffff)}`.length).toBeLessThan(DISK_NAME_LEN);
});

test("the path of a unit says where it is, in either family of addresses", () => {
  const server = serverName("iqn.2010-10.com.example.vas", "/var/lib/vas/storage", "boot");
  for (const address of ["192.0.2.1", "2001:db8::1"]) {
    for (const pdskid of [1, 255, 256, 65_536, 66_001, 0x7fffffff]) {
      const path = { address, port: 3260, server, pdskid };
      expect(parseUnitPath(showUnitPath(path))).toEqual(path);
    }
  }
  // As udev names what the kernel calls 2:0:0:66001.
  expect(
    showUnitPath({
      address: "192.0.2.1",
      port: 3260,
      server: "iqn.2010-10.com.example.vas:a-b",
      pdskid: 66_001,
    }),
  ).toBe("/dev/disk/by-path/ip-192.0.2.1:3260-iscsi-iqn.2010-10.com.example.vas:a-b-lun-0x01d1000100000000");
  expect(() => parseUnitPath("nbd://192.0.2.1:10809/pdsk-00000001")).toThrow("EINVAL");
});

test("a storage server has another name after a reboot, and keeps its owner", () => {
  const name = (folder: string, boot: string) => serverName("iqn.2010-10.com.example.vas", folder, boot);
  expect(name("/a", "one")).not.toBe(name("/a", "two"));
  expect(name("/a", "one")).not.toBe(name("/b", "one"));
  expect(name("/a", "one")).toContain(`:${ownerTag("/a")}-`);
  expect(targetName("iqn.2010-10.com.example.vas:a-b", 5, 3)).toBe(
    "iqn.2010-10.com.example.vas:a-b.lvol-00000005.3",
  );
});

test("no two units have the same serial, and LIO keeps all of its 25 digits", () => {
  const serials = [unitSerial(5, 1, 7), unitSerial(5, 2, 7), unitSerial(5, 1, 8), unitSerial(6, 1, 7)];
  expect(new Set(serials).size).toBe(serials.length);
  for (const serial of serials) expect(serial).toMatch(/^[0-9a-f]{24}$/);
});

/** As mdadm 4.2 prints it, of two devices; a third has no superblock. */
const examined = `/dev/mapper/vas-0badcafe-00000005-ext-00000101:
          Magic : a92b4efc
        Version : 1.2
    Feature Map : 0x1
     Array UUID : 56415354:534b5920:6d697272:00000007
           Name : any:vas-0badcafe-00000007
   Raid Devices : 2
         Events : 12
   Device Role : Active device 0
/dev/mapper/vas-0badcafe-00000005-ext-00000102:
          Magic : a92b4efc
     Array UUID : 56415354:534b5920:6d697272:00000007
         Events : 14
`;

test("what mdadm tells of members is read by their names", () => {
  const uuid = "56415354:534b5920:6d697272:00000007";
  expect([...parseExamined(examined)]).toEqual([
    ["vas-0badcafe-00000005-ext-00000101", { uuid, events: 12 }],
    ["vas-0badcafe-00000005-ext-00000102", { uuid, events: 14 }],
  ]);
  expect(parseExamined("").size).toBe(0);
});
