#!/bin/bash
# Compares a volume process over three export processes with qemu-storage-daemon's quorum over three nbdkit, by fio.
#
#   bench/volume.sh [quorum|fifo|FOLDER ...]        default: quorum, fifo and this build
#
# A FOLDER is a built checkout: name two to compare two builds. `quorum` votes on reads as well; `fifo` is quorum with
# read-pattern=fifo, which reads the first child only: what one who wants copies, and no votes, would set. All sides run
# all the time, and the rounds of a cell take turns between them, so that a busy machine is busy for all. Shown are
# medians of the rounds, CPU time of all servers of a side for each operation, and the median of the ratios to the first
# side, with all of them behind it.
#
# nbdkit runs with noextents: without it qemu asks for the allocation before each read, and on a tmpfs the answer is
# dear: a random read of 4 KiB took 9.0 ms of CPU time (fifo), and 0.24 ms with it.
#
# Before the cells each side is written once through, so that neither holes nor write-intent bits that are set for the
# first time are measured. `first` and `again` show what they cost: 64 writes, one to each region of 16 MiB, twice.
#
# Build first (npm run build). Needs fio with its nbd engine, nbdkit and qemu-storage-daemon.
# DIR: folder of the disk files (a tmpfs, so that disks are not what is measured). SECS: length of a cell, behind one
# second that does not count. ROUNDS. CELLS: "rw:block size:depth ...". PROF=folder: CPU profiles of our
# processes.
set -u
ROOT=$(cd "$(dirname "$0")/.." && pwd)
SIDES=("$@")
[ $# -eq 0 ] && SIDES=(quorum fifo "$ROOT")
SECS=${SECS:-4}
ROUNDS=${ROUNDS:-3}
SIZE=${SIZE:-512M}
CELLS=${CELLS:-"write:1M:1 write:1M:16 read:1M:1 read:1M:16 randwrite:4k:1 randwrite:4k:16 randread:4k:1 randread:4k:16"}
WORK=$(mktemp -d "${DIR:-/dev/shm}/bench-XXXXXX")
PROFILE=""
[ -n "${PROF:-}" ] && mkdir -p "$PROF" && PROFILE="--cpu-prof --cpu-prof-dir=$PROF"
PIDS=()
stop() { # the volumes first: they flush to the disks
  for ((n = ${#PIDS[@]} - 1; n >= 0; n--)); do
    kill "${PIDS[n]}" 2>/dev/null
    wait "${PIDS[n]}" 2>/dev/null
  done
}
trap 'stop; rm -rf "$WORK"' EXIT
until_there() { for _ in $(seq 200); do [ -e "$1" ] && return; sleep 0.05; done; echo "no $1" >&2; exit 1; }
until_port() { for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return; sleep 0.05; done; echo "no port $1" >&2; exit 1; }

start_quorum() { # $1 = folder, $2 = first port, $3 = read pattern
  local children="" port
  for n in 0 1 2; do
    port=$(($2 + n))
    truncate -s 1G "$1/q$n.img"
    nbdkit -f --filter=noextents -i 127.0.0.1 -p "$port" file "$1/q$n.img" & PIDS+=($!)
    children="$children --blockdev driver=nbd,node-name=n$n,server.type=inet,server.host=127.0.0.1,server.port=$port,export="
    until_port "$port"
  done
  # shellcheck disable=SC2086
  qemu-storage-daemon $children \
    --blockdev "driver=quorum,node-name=q,read-pattern=$3,vote-threshold=2,children.0=n0,children.1=n1,children.2=n2" \
    --nbd-server addr.type=unix,addr.path="$1/lvol" --export type=nbd,id=e,node-name=q,name=,writable=on & PIDS+=($!)
  until_there "$1/lvol"
}

start_ours() { # $1 = folder, $2 = first port, $3 = build
  node -e '
    const { writeFileSync } = require("fs");
    const [work, first] = process.argv.slice(1);
    const port = (n) => Number(first) + n;
    const unit = 1025 * 1024 * 1024;
    const extents = [0, 1, 2].map((n) => ({
      lvolid: 101 + n, lvoltype: 3, capacity: 1, mirror_status: 2, labels: [], components: [],
      lvolspec: { pdskid: n + 1, offset: 0, ssvrid: n + 1, generation: 1,
        iscsi_path: [`nbd://127.0.0.1:${port(n)}/pdsk-0000000${n + 1}`] },
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
        bytes: 2 * unit, addresses: ["127.0.0.1"], port: port(n), bootId: "b", controlSocket: `${work}/x${n}`,
        grantsFile: `${work}/grants${n}`, logFormat: "json", logLevel: "warn" }));
    }' "$1" "$2"
  for n in 0 1 2; do
    truncate -s $((2 * 1025 * 1024 * 1024)) "$1/d$n.img"
    # shellcheck disable=SC2086
    node $PROFILE "$3/dist/agents/storage/nbd/export-main.js" "$1/export$n.json" & PIDS+=($!)
  done
  for n in 0 1 2; do until_there "$1/x$n"; done
  # shellcheck disable=SC2086
  node $PROFILE "$3/dist/agents/head/nbd/volume-main.js" "$1/volume.json" & PIDS+=($!)
  until_there "$1/bench"
}

fio_on() { # $1 = side's number, the rest = options
  local uri="nbd+unix:///?socket=$WORK/$1/lvol"
  shift
  timeout $((SECS + 30)) fio --name=x --ioengine=nbd --uri="$uri" --output-format=json --output="$WORK/fio.json" "$@" \
    >/dev/null 2>&1
}

ticks() { # CPU time of a side's servers so far, in ticks of 10 ms
  local sum=0
  for pid in ${SERVERS[$1]}; do
    sum=$((sum + $(awk '{ print $14 + $15 }' "/proc/$pid/stat")))
  done
  echo $sum
}

SERVERS=()
for ((side = 0; side < ${#SIDES[@]}; side++)); do
  mkdir "$WORK/$side"
  before=${#PIDS[@]}
  case ${SIDES[side]} in
    quorum) start_quorum "$WORK/$side" $((21090 + 10 * side)) quorum ;;
    fifo) start_quorum "$WORK/$side" $((21090 + 10 * side)) fifo ;;
    *) start_ours "$WORK/$side" $((21090 + 10 * side)) "${SIDES[side]}" ;;
  esac
  SERVERS[side]="${PIDS[*]:before}"
done

show='
  const { readFileSync } = require("fs");
  const [file, cell, ...sides] = process.argv.slice(1);
  const rows = readFileSync(file, "utf8").trim().split("\n").map((line) => line.split(" ").map(Number));
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1] ?? NaN;
  const of = (side, column) => rows.filter((row) => row[0] === side).map((row) => row[column]);
  for (const [side, name] of sides.entries()) {
    const unit = cell.includes(":1M:") ? [1.048576, "MB/s"] : [1, "/s  "];
    const ratios = of(side, 1).map((value, round) => value / of(0, 1)[round]);
    console.log(cell.padEnd(16), name.padEnd(12), (median(of(side, 1)) * unit[0]).toFixed(0).padStart(7), unit[1],
      median(of(side, 2)).toFixed(1).padStart(8), "us CPU", median([...ratios]).toFixed(2).padStart(6),
      ratios.map((ratio) => ratio.toFixed(2)).join(" "));
  }'
number='
  const text = require("fs").readFileSync(process.argv[1], "utf8");
  const { read, write, error } = JSON.parse(text.slice(text.indexOf("{"))).jobs[0];
  const [ticks, secs, ramp] = process.argv.slice(2).map(Number);
  const iops = error ? NaN : read.iops + write.iops;
  console.log(iops, (ticks * 1e4) / (iops * (secs ? secs + ramp : (read.runtime + write.runtime) / 1000)));'

for ((side = 0; side < ${#SIDES[@]}; side++)); do
  # Every region for the first time, then once more: the difference is what setting the bits costs.
  for turn in first again; do
    fio_on "$side" --rw=write:16380k --bs=4k --iodepth=1 --size=1G --io_size=256k
    echo "$turn 4k:1 ${SIDES[side]##*/} $(node -e "$number" "$WORK/fio.json" 0 0 0)"
  done
  fio_on "$side" --rw=write --bs=1M --iodepth=4 --size="$SIZE"
done
for cell in $CELLS; do
  IFS=: read -r rw bs depth <<<"$cell"
  : >"$WORK/rounds"
  for ((round = 0; round < ROUNDS; round++)); do
    for ((side = 0; side < ${#SIDES[@]}; side++)); do
      before=$(ticks "$side")
      fio_on "$side" --rw="$rw" --bs="$bs" --iodepth="$depth" --size="$SIZE" --time_based --runtime="$SECS" \
        --ramp_time=1 --randrepeat=1 --norandommap
      echo "$side $(node -e "$number" "$WORK/fio.json" $(($(ticks "$side") - before)) "$SECS" 1)" >>"$WORK/rounds"
    done
  done
  node -e "$show" "$WORK/rounds" "$cell" "${SIDES[@]##*/}"
done
