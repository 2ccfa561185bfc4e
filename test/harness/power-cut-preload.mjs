/**
 * Lets a disk in a file lose power. It is loaded into the processes of a storage server by `NODE_OPTIONS=--import`, and wraps
 * what lies below the product: before anything changes a disk that VAS_POWER_DISKS names (paths with colons between), what
 * stood there is appended to a journal of this process beside the disk, and so is every change that became durable, by O_DSYNC
 * or an fdatasync. When the processes are dead, power-cut.ts undoes of the rest what it likes.
 *
 * Known are: `openSync`, `writeSync`, `writevSync`, `fdatasyncSync`, file handles (`write`, `datasync`, `sync`), and the programs that make
 * zeros, which are given the disk as descriptor 3. Any other change of a disk ends the process, so that none goes unseen.
 *
 * A journal is a sequence of entries: kind, time in ns, offset and length, 8 bytes each, and for OLD the bytes that stood there.
 */
import childProcess from "node:child_process";
import fs, { promises as files } from "node:fs";
import { syncBuiltinESMExports } from "node:module";

const SECTOR = 512;
const CHUNK = 1 << 20;
const [OLD, DURABLE, FLUSH] = [1, 2, 3];
const ZEROS = Buffer.alloc(CHUNK);
const disks = new Set((process.env.VAS_POWER_DISKS ?? "").split(":"));

const original = { ...fs };
const journals = new Map();
/** Of open descriptors of disks: path, and whether writes are durable when they return. */
const opened = new Map();

function append(path, kind, { time = process.hrtime.bigint(), offset = 0, length = 0 }, bytes) {
  let journal = journals.get(path);
  if (journal === undefined) {
    journal = original.openSync(`${path}.unflushed.${process.pid}`, "a");
    journals.set(path, journal);
  }
  const head = Buffer.alloc(32);
  [BigInt(kind), time, BigInt(offset), BigInt(length)].forEach((value, at) => {
    head.writeBigUInt64LE(value, at * 8);
  });
  original.writevSync(journal, bytes === undefined ? [head] : [head, bytes]);
}

/** Whole sectors: one is written entirely or not at all. */
function widen(offset, length) {
  const start = Math.floor(offset / SECTOR) * SECTOR;
  return { offset: start, length: Math.ceil((offset + length) / SECTOR) * SECTOR - start };
}

/** What is to become zeros and is zeros already does not change. */
function keepOld(fd, { offset, length }, becomesZero = false) {
  const { path } = opened.get(fd);
  for (let done = 0; done < length; done += CHUNK) {
    const bytes = Buffer.alloc(Math.min(CHUNK, length - done));
    original.readSync(fd, bytes, 0, bytes.length, offset + done);
    if (becomesZero && bytes.equals(ZEROS.subarray(0, bytes.length))) continue;
    append(path, OLD, { offset: offset + done, length: bytes.length }, bytes);
  }
}

function write(fd, offset, length, act) {
  if (typeof offset !== "number") abort(`a write to ${opened.get(fd).path} without an offset`);
  keepOld(fd, widen(offset, length));
  const written = act();
  const { path, isDurable } = opened.get(fd);
  if (isDurable) append(path, DURABLE, widen(offset, written));
  return written;
}

function flushed(fd, time) {
  append(opened.get(fd).path, FLUSH, { time });
}

function abort(what) {
  process.stderr.write(`power-cut-preload: ${what} is not known here\n`);
  process.abort();
}

function note(fd, path, flags) {
  if (!disks.has(path)) return opened.delete(fd);
  const isDurable = typeof flags === "number" && (flags & fs.constants.O_DSYNC) !== 0;
  return opened.set(fd, { path, isDurable });
}

function watchDescriptors() {
  fs.openSync = (path, flags, ...rest) => {
    const fd = original.openSync(path, flags, ...rest);
    note(fd, String(path), flags);
    return fd;
  };
  fs.closeSync = (fd) => {
    opened.delete(fd);
    original.closeSync(fd);
  };
  fs.writeSync = (fd, bytes, ...rest) => {
    const act = () => original.writeSync(fd, bytes, ...rest);
    return opened.has(fd) ? write(fd, rest[2], rest[1], act) : act();
  };
  fs.writevSync = (fd, pieces, position) => {
    const act = () => original.writevSync(fd, pieces, position);
    const length = pieces.reduce((sum, { byteLength }) => sum + byteLength, 0);
    return opened.has(fd) ? write(fd, position, length, act) : act();
  };
  fs.fdatasyncSync = (fd) => {
    const time = process.hrtime.bigint();
    original.fdatasyncSync(fd);
    if (!opened.has(fd)) return;
    // Nothing of this process was written meanwhile: its journal begins anew.
    const journal = journals.get(opened.get(fd).path);
    if (journal !== undefined) original.ftruncateSync(journal, 0);
    flushed(fd, time);
  };
  for (const method of ["fsyncSync", "ftruncateSync", "write", "writev", "fdatasync", "fsync", "ftruncate"]) {
    fs[method] = (fd, ...rest) => {
      if (opened.has(fd)) abort(`${method} of ${opened.get(fd).path}`);
      return original[method](fd, ...rest);
    };
  }
}

function watchHandles() {
  const { open } = files;
  files.open = async (path, flags, ...rest) => {
    const handle = await open(path, flags, ...rest);
    note(handle.fd, String(path), flags);
    if (!opened.has(handle.fd)) return handle;
    const { write: writeHandle, close } = handle;
    handle.write = (bytes, at, length, position) => {
      if (typeof position !== "number") abort(`a write to ${path} without a position`);
      keepOld(handle.fd, widen(position, length));
      return writeHandle.call(handle, bytes, at, length, position);
    };
    for (const method of ["datasync", "sync"]) {
      const sync = handle[method];
      handle[method] = async () => {
        const time = process.hrtime.bigint();
        await sync.call(handle);
        flushed(handle.fd, time);
      };
    }
    handle.close = () => {
      opened.delete(handle.fd);
      return close.call(handle);
    };
    for (const method of ["writeFile", "appendFile", "writev", "truncate", "createWriteStream"])
      handle[method] = () => abort(`${method} of ${path}`);
    return handle;
  };
}

/** Where a program makes zeros: `fallocate` and `blkdiscard` say it in one way, `dd` in another. */
function rangeOf(argv) {
  const after = (name) => Number(argv[argv.indexOf(name) + 1]);
  const of = (name) => Number(argv.find((word) => word.startsWith(`${name}=`))?.slice(name.length + 1));
  const [offset, length] = argv.includes("dd")
    ? [of("seek"), of("count")]
    : [after("--offset"), after("--length")];
  if (!(offset >= 0 && length > 0)) abort(argv.join(" "));
  return { offset, length };
}

function watchPrograms() {
  for (const method of ["spawn", "spawnSync"]) {
    const start = childProcess[method];
    childProcess[method] = (program, args, options) => {
      const fd = options?.stdio?.[3];
      if (opened.has(fd)) keepOld(fd, widenRange(rangeOf([program, ...args])), true);
      return start(program, args, options);
    };
  }
}

const widenRange = ({ offset, length }) => widen(offset, length);

if (disks.size > 0) {
  watchDescriptors();
  watchHandles();
  watchPrograms();
  syncBuiltinESMExports();
}
