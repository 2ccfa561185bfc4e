import { MANAGER_PORT } from "../../cli/local/plan.js";
import type { ServerPlan } from "../../cli/local/server.js";
import { LOG_FOLDER, START_SCRIPT } from "./guest-server.js";

const AGENT_PORTS = { manager: MANAGER_PORT, head: 8882, storage: 8883 } as const;

/** The address at which the host reaches a machine that has a door. */
const DOOR_ADDRESS = "10.0.2.15";

/**
 * Starts a server. Its boot id is the machine's with its name: the agents share a machine, and are all started anew with it.
 * The group is what the firewall knows its processes by. Code that V8 compiles has to be translated once more by the emulator:
 * without that a program starts in half the time.
 */
const start = `#!/bin/bash
folder=/data/$1
id=$(cat /proc/sys/kernel/random/boot_id)-$1
export NODE_OPTIONS=--jitless VAS_LOCAL_FOLDER=$folder VAS_SSVR_AGENT_BOOT_ID=$id VAS_HSVR_AGENT_BOOT_ID=$id
cd $folder
setsid setpriv --regid "$(cat group)" --clear-groups node "$(cat program)" --config vas.conf \\
  </dev/null >>${LOG_FOLDER}/$1.log 2>&1 &
`;

/** Where a server listens once it is there. */
const doorOf = ({ kind, address }: ServerPlan): string => `/dev/tcp/${address}/${AGENT_PORTS[kind]}`;

/**
 * What a machine with a cluster does after each boot: it opens its door, makes the firewall by which servers are cut off, does
 * for the kernel data plane what systemd does on a real machine, and starts all servers. One after the other: of many at once none would be there within its deadlines.
 */
function boot(servers: readonly ServerPlan[]): string {
  return `#!/bin/bash
modprobe -a virtio_net nf_tables
until ip link show eth0 >/dev/null 2>&1; do sleep 0.1; done
ip link set eth0 up
ip address add ${DOOR_ADDRESS}/24 dev eth0
nft -f - <<'RULES'
table inet cuts {
  set addresses { type ipv4_addr; }
  set groups { type gid; }
  chain out {
    type filter hook output priority 0;
    ip daddr @addresses drop
    ip saddr @addresses drop
    meta skgid @groups drop
  }
}
RULES
modprobe -a configfs iscsi_tcp
mountpoint -q /sys/kernel/config || mount -t configfs configfs /sys/kernel/config
iscsid
${servers.map(startInTurn).join("\n")}
touch /run/cluster-started
`;
}

const startInTurn = (server: ServerPlan): string =>
  `${START_SCRIPT} ${server.name}; timeout 60 bash -c 'until : >${doorOf(server)}; do sleep 0.1; done' 2>/dev/null`;

/** Script that leaves in /data what starts the servers after each boot. */
export function installBoot(servers: readonly ServerPlan[]): string {
  return `
    cat >${START_SCRIPT} <<'START'\n${start}START
    cat >/data/boot <<'BOOT'\n${boot(servers)}BOOT
    chmod +x ${START_SCRIPT} /data/boot
    sync`;
}
