#!/bin/bash
# What snapshots cost their origin: random writes of 4 KiB, 16 at a time, each in a chunk of its own, on a cluster of processes
# with three copies of everything, with no, one and five snapshots.
#
#   bench/snapshots.sh
#
# `first`: no chunk is kept yet, so each write has its chunk copied first. `again`: the same writes once more; what they
# change is kept by now. Each number of snapshots has new ones.
#
# Build first (npm run build). Needs fio with its nbd engine. DIR: folder of the disk files (a tmpfs, so that disks are not
# what is measured). WRITES: how many of each kind.
set -eu
cd "$(dirname "$0")/.."
WRITES=${WRITES:-16384}
WORK=$(mktemp -d "${DIR:-/dev/shm}/bench-XXXXXX")
export VAS_MANAGER=127.77.77.1:8881
vas() { node dist/cli/main.js "$@" >/dev/null; }
cleanup() {
  kill -INT "$CLUSTER" 2>/dev/null || true
  wait "$CLUSTER" || true
  rm -rf "$WORK"
}
node dist/cli/local-cluster.js --state "$WORK/state" --addresses 127.77.77. --disk-gb 40 >"$WORK/log" 2>&1 &
CLUSTER=$!
trap cleanup EXIT
for _ in $(seq 300); do grep -q "Ctrl-C here" "$WORK/log" && break; sleep 0.2; done
vas volume create bench --size 1
vas volume attach bench --head 1

run() { # prints the writes a second
  fio --name=x --ioengine=nbd --uri="nbd+unix:///?socket=$WORK/state/run/head-1/bench" --rw=randwrite --bs=4k \
    --blockalign=16k --iodepth=16 --size=1G --io_size=$((WRITES * 4))k --randrepeat=1 --output-format=json \
    --output="$WORK/fio.json" >/dev/null
  node -e 'const text = require("fs").readFileSync(process.argv[1], "utf8");
    console.log(Math.round(JSON.parse(text.slice(text.indexOf("{"))).jobs[0].write.iops));' "$WORK/fio.json"
}

run >/dev/null
for count in 0 1 5; do
  for ((n = 1; n <= count; n++)); do vas snapshot create bench "s$count-$n"; done
  echo "$count snapshots: first $(run)/s, again $(run)/s"
  for ((n = 1; n <= count; n++)); do vas snapshot delete "s$count-$n"; done
done
