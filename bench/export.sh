#!/bin/bash
# The export process of a disk beside `nbdkit file` and `qemu-nbd`, alone, with fio over TCP on loopback.
#   npm run build && bench/export.sh [ours|nbdkit|qemu ...]
# Environment: SECS a cell (3), SIZE of the file (512M), DIR (a tmpfs by default), CELLS "rw:blocksize:depth ...".
set -eu
ROOT=$(cd "$(dirname "$0")/.." && pwd)
SECS=${SECS:-3}
SIZE=${SIZE:-512M}
CELLS=${CELLS:-"write:1M:1 write:1M:16 read:1M:1 read:1M:16 randwrite:4k:1 randwrite:4k:16 randread:4k:1 randread:4k:16"}
DIR=$(mktemp -d "${DIR:-/dev/shm}/vas-bench-XXXXXX")
PORT=${PORT:-11809}
SERVER=
stop() { [ -z "$SERVER" ] || { kill "$SERVER" 2>/dev/null; wait "$SERVER" 2>/dev/null || true; SERVER=; }; }
trap 'stop; rm -rf "$DIR"' EXIT
fresh() { rm -f "$DIR/disk"; dd if=/dev/zero of="$DIR/disk" bs="$SIZE" count=1 status=none; }
wait_port() { for _ in $(seq 200); do (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null && return; sleep 0.05; done; return 1; }

# CPU time of the server so far, in ticks of 10 ms. On a busy machine it tells more than the throughput.
ticks() { awk '{ print $14 + $15 }' "/proc/$SERVER/stat"; }

start_ours() {
  local bytes; bytes=$(stat -c %s "$DIR/disk")
  echo "{\"grants\":[{\"lvolid\":1,\"epoch\":1,\"extents\":[{\"start\":0,\"end\":$bytes,\"dextid\":1}]}],\"revoked\":[]}" >"$DIR/grants"
  echo "{\"pdskid\":1,\"path\":\"$DIR/disk\",\"bytes\":$bytes,\"addresses\":[\"127.0.0.1\"],\"port\":$PORT,\"bootId\":\"b\",
    \"controlSocket\":\"$DIR/ctl\",\"grantsFile\":\"$DIR/grants\",\"logFormat\":\"json\",\"logLevel\":\"warn\"}" >"$DIR/spec"
  node "$ROOT/dist/agents/storage/nbd/export-main.js" "$DIR/spec" & SERVER=$!
  NAME=pdsk-00000001/lvol-00000001/1
}
start_nbdkit() { nbdkit -f -i 127.0.0.1 -p "$PORT" file "$DIR/disk" & SERVER=$!; NAME=; }
start_qemu() { qemu-nbd -f raw -t -b 127.0.0.1 -p "$PORT" -e 16 "$DIR/disk" & SERVER=$!; NAME=; }

for kind in ${*:-ours nbdkit qemu}; do
  fresh; "start_$kind"; wait_port
  for cell in $CELLS; do
    IFS=: read -r rw bs depth <<<"$cell"
    before=$(ticks)
    timeout $((SECS + 10)) fio --name=x --ioengine=nbd --uri="nbd://127.0.0.1:$PORT/$NAME" --rw="$rw" --bs="$bs" \
      --iodepth="$depth" --size="$SIZE" --time_based --runtime="$SECS" --ramp_time=1 --norandommap \
      --output-format=terse --terse-version=3 2>/dev/null >"$DIR/out" || true
    # Fields 7 and 8 are KiB/s and operations/s of reads, 48 and 49 of writes.
    awk -F';' -v kind="$kind" -v cell="$cell" -v busy=$(($(ticks) - before)) -v secs="$SECS" '/^3;/ {
      printf "%-7s %-16s %9d IOPS %8.1f MB/s %8.1f us of CPU each\n", kind, cell, $8 + $49, ($7 + $48) * 1.024 / 1000,
        busy * 10000 / (($8 + $49) * (secs + 1)) }' "$DIR/out"
  done
  stop
done
