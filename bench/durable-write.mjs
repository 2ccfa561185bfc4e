// What a durable write of 4 KiB costs while other writes lie in the page cache: write and fdatasync, or O_DSYNC.
// Run: node bench/durable-write.mjs [FOLDER], on the file system that is asked about.
import {
  closeSync,
  constants,
  fdatasyncSync,
  openSync,
  rmSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

const MIB = 1024 * 1024;
const ROUNDS = 12;
const path = join(process.argv[2] ?? ".", `durable-write-${process.pid}.img`);
writeFileSync(path, "");
truncateSync(path, 1024 * MIB);
const plain = openSync(path, constants.O_RDWR);
const durable = openSync(path, constants.O_RDWR | constants.O_DSYNC);
const dirty = Buffer.alloc(16 * MIB, 7);
const record = Buffer.alloc(4096, 1);

const ways = {
  "write, fdatasync": () => {
    writeSync(plain, record, 0, record.length, 1023 * MIB);
    fdatasyncSync(plain);
  },
  "write with O_DSYNC": () => writeSync(durable, record, 0, record.length, 1022 * MIB),
};
try {
  for (const [index, [name, write]] of Object.entries(ways).entries()) {
    const times = [];
    for (let round = 0; round < ROUNDS; round += 1) {
      writeSync(plain, dirty, 0, dirty.length, (index * 400 + round * 16) * MIB);
      const start = performance.now();
      write();
      times.push(performance.now() - start);
    }
    times.sort((a, b) => a - b);
    console.log(
      `${name}: median ${times[ROUNDS / 2].toFixed(2)} ms, worst ${times[ROUNDS - 1].toFixed(2)} ms`,
    );
  }
} finally {
  closeSync(plain);
  closeSync(durable);
  rmSync(path);
}
