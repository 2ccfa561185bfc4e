import type { Machine } from "./machine.js";

/** Begins a write of 4 KiB to the array. What it ended with stands in a file then. @param place in MiB of the array */
export const beginWrite = (machine: Machine, name: string, place: number): Promise<string> =>
  machine.run(`
    (dd if=/dev/urandom of=/dev/md101 bs=4k count=1 seek=${place * 256} oflag=direct
     echo $? >/tmp/${name}.ended) </dev/null >/dev/null 2>&1 &`);

/** Codes of the writes that have ended, by name. */
export async function ended(machine: Machine): Promise<Record<string, string>> {
  const text = await machine.run("cd /tmp; grep . *.ended /dev/null | sed 's/.ended:/ /'");
  const lines = text.split("\n").filter((line) => line !== "");
  return Object.fromEntries(lines.map((line) => line.split(" ") as [string, string]));
}

/** The kernel's name of a device-mapper device. */
export const nameOf = async (machine: Machine, device: string): Promise<string> =>
  (await machine.run(`basename $(readlink -f /dev/mapper/${device})`)).trim();

/** What md says of a member, word by word. */
export const stateOf = async (machine: Machine, member: string): Promise<string[]> =>
  (await machine.run(`cat /sys/block/md101/md/dev-${member}/state`)).trim().split(",");

/** Makes the array of two members, as a mirror is made: without a bad-block log, which would keep what is to be told. */
export const makeArray = (machine: Machine, first: string, second: string): Promise<string> =>
  machine.run(`
    echo 'CREATE bbl=no' >>/etc/mdadm/mdadm.conf
    mdadm --create /dev/md101 --run --quiet --level=1 --raid-devices=2 --assume-clean --metadata=1.2 \
      --bitmap=internal --bitmap-chunk=4M --data-offset=1M --size=48M ${first} ${second}`);

/** Whether multipath has given up the only path of a device. */
export async function hasFailedPath(machine: Machine, device: string): Promise<boolean> {
  return / \d+:\d+ F /.test(await machine.run(`dmsetup status ${device}`));
}
