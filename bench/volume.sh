#!/bin/bash
# Compares a volume process over three export processes with qemu-storage-daemon's quorum over three nbdkit, by fio.
#
#   bench/volume.sh [both|ours|quorum]
#
# Build first (npm run build). Needs fio with its nbd engine, nbdkit and qemu-storage-daemon.
# DIR: folder of the disk files (a tmpfs, so that disks are not what is measured). SECS: length of a cell.
# CELLS: "rw:block size:depth ...". PROF=folder: CPU profiles of all our processes.
set -u
WHAT=${1:-both}
SECS=${SECS:-5}
SIZE=${SIZE:-512M}
CELLS=${CELLS:-"write:1M:1 write:1M:16 read:1M:1 read:1M:16 randwrite:4k:1 randwrite:4k:16 randread:4k:1 randread:4k:16"}
ROOT=$(cd "$(dirname "$0")/.." && pwd)
WORK=$(mktemp -d "${DIR:-/dev/shm}/bench-XXXXXX")
PROFILE=""
[ -n "${PROF:-}" ] && mkdir -p "$PROF" && PROFILE="--cpu-prof --cpu-prof-dir=$PROF"
PIDS=()
stop() { # the volume first: it flushes to the disks
  for ((n = ${#PIDS[@]} - 1; n >= 0; n--)); do
    kill "${PIDS[n]}" 2>/dev/null
    wait "${PIDS[n]}" 2>/dev/null
  done
  PIDS=()
}
trap 'stop; rm -rf "$WORK"' EXIT
until_there() { for _ in $(seq 200); do [ -e "$1" ] && return; sleep 0.05; done; echo "no $1" >&2; exit 1; }

cells() { # $1 = label, $2 = socket
  for cell in $CELLS; do
    IFS=: read -r rw bs depth <<<"$cell"
    timeout $((SECS + 10)) fio --name=x --ioengine=nbd --uri="nbd+unix:///?socket=$2" --rw="$rw" --bs="$bs" \
      --iodepth="$depth" --size="$SIZE" --time_based --runtime="$SECS" --ramp_time=1 --randrepeat=1 --norandommap \
      --output-format=json --output="$WORK/fio.json" >/dev/null 2>&1
    node -e '
      const text = require("fs").readFileSync(process.argv[1], "utf8");
      const job = JSON.parse(text.slice(text.indexOf("{"))).jobs[0];
      const [rw, bs] = process.argv[3].split(":");
      const side = rw.includes("read") ? job.read : job.write;
      const value = bs === "4k" ? `${side.iops.toFixed(0)} IOPS` : `${(side.bw_bytes / 1e6).toFixed(0)} MB/s`;
      console.log(process.argv[2].padEnd(8), process.argv[3].padEnd(18), value, job.error ? `error ${job.error}` : "");
    ' "$WORK/fio.json" "$1" "$cell"
  done
}

run_quorum() {
  local children=""
  for n in 0 1 2; do
    truncate -s 1076887552 "$WORK/q$n.img"
    dd if=/dev/zero of="$WORK/q$n.img" bs=1M count=512 conv=notrunc status=none
    nbdkit -f -i 127.0.0.1 -p $((21090 + n)) file "$WORK/q$n.img" & PIDS+=($!)
    children="$children --blockdev driver=nbd,node-name=n$n,server.type=inet,server.host=127.0.0.1,server.port=$((21090 + n)),export="
  done
  sleep 1
  # shellcheck disable=SC2086
  qemu-storage-daemon $children \
    --blockdev driver=quorum,node-name=q,vote-threshold=2,children.0=n0,children.1=n1,children.2=n2 \
    --nbd-server addr.type=unix,addr.path="$WORK/quorum.sock" --export type=nbd,id=e,node-name=q,name=,writable=on & PIDS+=($!)
  until_there "$WORK/quorum.sock"
  cells quorum "$WORK/quorum.sock"
  stop
  rm -f "$WORK"/q*.img
}

run_ours() {
  node -e '
    const { writeFileSync } = require("fs");
    const [work] = process.argv.slice(1);
    const unit = 1025 * 1024 * 1024;
    const extents = [0, 1, 2].map((n) => ({
      lvolid: 101 + n, lvoltype: 3, capacity: 1, mirror_status: 2, labels: [], components: [],
      lvolspec: { pdskid: n + 1, offset: 0, ssvrid: n + 1, generation: 1,
        iscsi_path: [`nbd://127.0.0.1:${21190 + n}/pdsk-0000000${n + 1}`] },
    }));
    const node = { labels: [], mirror_status: 2, capacity: 1 };
    const mirror = { ...node, lvolid: 3, lvoltype: 2, lvolspec: { version: 1 }, components: extents };
    const linear = { ...node, lvolid: 2, lvoltype: 1, lvolspec: {}, components: [mirror] };
    const lvolspec = { lvolname: "bench", redundancy: 3, assoc: [], ctime: "" };
    writeFileSync(`${work}/volume.json`, JSON.stringify({
      lvolstruct: { ...node, lvolid: 1, lvoltype: 0, lvolspec, components: [linear] }, epoch: 1, incarnation: 1,
      managers: [{ host: "127.0.0.1", port: 1 }], memberTimeoutMs: 10000, socket: `${work}/lvol`,
      nameLink: `${work}/bench`, tcp: null, controlSocket: `${work}/control`, logLevel: "warn" }));
    for (const n of [0, 1, 2]) {
      const grants = { grants: [{ lvolid: 1, epoch: 1, extents: [{ start: 0, end: unit, dextid: 101 + n }] }], revoked: [] };
      writeFileSync(`${work}/grants${n}`, JSON.stringify(grants));
      writeFileSync(`${work}/export${n}.json`, JSON.stringify({ pdskid: n + 1, path: `${work}/d${n}.img`,
        bytes: 2 * unit, addresses: ["127.0.0.1"], port: 21190 + n, bootId: "b", controlSocket: `${work}/x${n}`,
        grantsFile: `${work}/grants${n}`, logFormat: "json", logLevel: "warn" }));
    }' "$WORK"
  for n in 0 1 2; do
    truncate -s $((2 * 1025 * 1024 * 1024)) "$WORK/d$n.img"
    dd if=/dev/zero of="$WORK/d$n.img" bs=1M seek=1 count=512 conv=notrunc status=none
    # shellcheck disable=SC2086
    node $PROFILE "$ROOT/dist/agents/storage/nbd/export-main.js" "$WORK/export$n.json" & PIDS+=($!)
  done
  for n in 0 1 2; do until_there "$WORK/x$n"; done
  # shellcheck disable=SC2086
  node $PROFILE "$ROOT/dist/agents/head/nbd/volume-main.js" "$WORK/volume.json" & PIDS+=($!)
  until_there "$WORK/bench"
  cells ours "$WORK/lvol"
  stop
}

[ "$WHAT" != ours ] && run_quorum
[ "$WHAT" != quorum ] && run_ours
exit 0
