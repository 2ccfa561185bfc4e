import { expect, test } from "vitest";
import type { Machine } from "./machine.js";
import { useMachine } from "./use-machine.js";

const FILE_SYSTEM = "11111111-2222-3333-4444-555555555555";
const TARGET = "iqn.2026-01.org.example:disk";
const DISK = `/dev/disk/by-path/ip-127.0.0.11:3260-iscsi-${TARGET}-lun-1`;

/** Two members of a mirror on device-mapper devices of ours, as a head server has them. */
const MEMBERS = `
set -e
modprobe -a loop dm_mod md_mod raid1
for name in a b; do
  truncate -s 64M /tmp/$name
  dmsetup create vas-test-$name --uuid VAS-test-$name --table "0 131072 linear $(losetup -f --show /tmp/$name) 0"
done`;

const makeMirror = (homehost: string): string => `
set -e
mdadm --create /dev/md/mirror --run --quiet --level=1 --raid-devices=2 --assume-clean --metadata=1.2 \
  --bitmap=internal --homehost=${homehost} --name=mirror /dev/mapper/vas-test-a /dev/mapper/vas-test-b
udevadm settle`;

/** A member goes, and comes back. */
const MAKE_AGAIN = `
set -e
table=$(dmsetup table vas-test-a)
dmsetup remove vas-test-a
dmsetup create vas-test-a --uuid VAS-test-a --table "$table"
udevadm settle`;

/** A disk of a storage server; a member of a mirror stands right at its beginning, where a real one has nothing. */
const EXPORT = `
set -e
modprobe -a loop iscsi_tcp sd_mod configfs target_core_mod target_core_iblock iscsi_target_mod md_mod raid1
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
mkdir -p /var/target
truncate -s 64M /tmp/exported
loop=$(losetup -f --show /tmp/exported)
mdadm --create /dev/md/whole --run --quiet --level=1 --raid-devices=2 --metadata=1.2 $loop missing
mdadm --stop --quiet /dev/md/whole
disk=/sys/kernel/config/target/core/iblock_0/exported
mkdir -p $disk
echo udev_path=$loop >$disk/control
echo VASTSKY >$disk/wwn/product_id
echo 1 >$disk/enable
group=/sys/kernel/config/target/iscsi/${TARGET}/tpgt_1
mkdir -p $group/np/127.0.0.11:3260 $group/lun/lun_1
ln -s $disk $group/lun/lun_1/port
echo 0 >$group/attrib/authentication
echo 1 >$group/attrib/generate_node_acls
echo 1 >$group/attrib/cache_dynamic_acls
echo 0 >$group/attrib/demo_mode_write_protect
echo 1 >$group/enable
iscsid
iscsiadm -m discovery -t st -p 127.0.0.11:3260`;

const LOG_IN = `iscsiadm -m node -T ${TARGET} -p 127.0.0.11:3260 --login && udevadm settle`;
const LOG_OUT = `iscsiadm -m node -T ${TARGET} -p 127.0.0.11:3260 --logout && udevadm settle`;

const WITHOUT_RULES = "rm /etc/udev/rules.d/*-vastsky.rules && udevadm control --reload";

/** What udev has assembled, by array. */
const arrays = async (machine: Machine): Promise<string[]> =>
  (await machine.run("sed -n 's/^\\(md[^ ]*\\) :.*/\\1/p' /proc/mdstat")).split("\n").filter(Boolean);

const exists = async (machine: Machine, path: string): Promise<boolean> =>
  (await machine.try(`[ -e ${path} ]`)).code === 0;

test("udev leaves what volumes are made of alone because of our rules, and acts on it without them", async () => {
  const machine = await useMachine();
  await machine.run(MEMBERS);
  await machine.run(makeMirror("vastsky"));
  const formatAndLook = async (): Promise<boolean> => {
    await machine.run(`mke2fs -q -F -U ${FILE_SYSTEM} /dev/md/mirror && udevadm settle`);
    await machine.run("udevadm trigger --settle --action=change /dev/md/mirror");
    return exists(machine, `/dev/disk/by-uuid/${FILE_SYSTEM}`);
  };
  // The name that mdadm waits for is there, and none by content.
  expect(await formatAndLook()).toBe(false);
  const stop = "mdadm --stop --quiet --scan && udevadm settle";
  await machine.run(stop);
  await machine.run(MAKE_AGAIN);
  expect(await arrays(machine)).toEqual([]);

  await machine.run(EXPORT);
  await machine.run(LOG_IN);
  expect(await exists(machine, DISK)).toBe(true);
  expect(await machine.run(`udevadm info ${DISK}`)).not.toContain("ID_FS_TYPE");
  expect(await arrays(machine)).toEqual([]);
  await machine.run(LOG_OUT);

  await machine.run(WITHOUT_RULES);
  await machine.run(MAKE_AGAIN);
  expect(await arrays(machine)).toHaveLength(1);
  await machine.run(stop);
  await machine.run(LOG_IN);
  expect(await machine.run(`udevadm info ${DISK}`)).toContain("ID_FS_TYPE=linux_raid_member");
  expect(await arrays(machine)).toHaveLength(1);
  await machine.run(LOG_OUT);
  await machine.run(stop);
  await machine.run("mdadm --assemble /dev/md/mirror /dev/mapper/vas-test-a /dev/mapper/vas-test-b");
  expect(await formatAndLook()).toBe(true);
});

test("mdadm takes no mirror of a volume when it assembles what it finds, if its configuration says so", async () => {
  const machine = await useMachine();
  await machine.run(MEMBERS);
  await machine.run(makeMirror("vastsky"));
  const scan = async (auto: string): Promise<string[]> => {
    await machine.run("mdadm --stop --quiet --scan");
    await machine.run(`printf 'HOMEHOST <system>\\n${auto}\\n' >/tmp/mdadm.conf`);
    await machine.try("mdadm --assemble --scan --config /tmp/mdadm.conf");
    return arrays(machine);
  };
  expect(await scan("AUTO +homehost -all")).toEqual([]);
  expect(await scan("AUTO homehost -all")).toHaveLength(1);
  expect(await scan("")).toHaveLength(1);
});

test("vas doctor finds the test machine well for both roles, and ill without our rules", async () => {
  const machine = await useMachine();
  await machine.run(`
    modprobe configfs iscsi_tcp
    mount -t configfs configfs /sys/kernel/config
    iscsid
    cat >/tmp/vas.conf <<'CONF'
[hsvr_agent]
data_plane = kernel
[ssvr_agent]
data_plane = kernel
disks = /dev/disk/by-id/virtio-root
CONF`);
  const doctor = "NODE_OPTIONS=--jitless vas --config /tmp/vas.conf doctor --role both";
  expect(await machine.run(doctor)).not.toMatch(/^wrong/m);
  await machine.run(WITHOUT_RULES);
  const { code, stdout } = await machine.try(doctor);
  expect(code).toBe(1);
  expect(stdout.match(/^wrong .*/gm)).toEqual([
    expect.stringContaining("11-vastsky.rules: not installed"),
    expect.stringContaining("63-vastsky.rules: not installed"),
  ]);
});
