import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import { type ByteDevice, CHUNK, firstMismatch, writeAll } from "../../harness/chunked-io.js";
import { NbdClient } from "../../harness/nbd-client.js";
import { randomData } from "../../harness/random-data.js";
import { BlockFile } from "./block-file.js";

/**
 * Runs in the machine: `volume-io VERB PATH [OFFSET LENGTH [SEED]]` writes, verifies, digests or flushes a volume, which is a
 * block device or the socket of an NBD export. Prints what `digest` finds; ends with 1 and a sentence if something is wrong.
 */

async function openDevice(path: string, isReader: boolean): Promise<ByteDevice> {
  if (statSync(path).isSocket()) return NbdClient.connect({ path });
  return isReader ? BlockFile.openReadOnly(path) : BlockFile.open(path);
}

async function perform(
  device: ByteDevice,
  verb: string,
  [offset, length]: readonly [number, number],
  seed: string,
): Promise<string> {
  if (verb === "flush") {
    await device.flush();
    return "";
  }
  if (verb === "digest") return digest(device, offset, length);
  const data = randomData(seed, length);
  if (verb === "write") {
    await writeAll(device, offset, data);
    return "";
  }
  if (verb !== "verify") throw new Error(`there is no verb "${verb}"`);
  const at = await firstMismatch(device, offset, data);
  if (at !== undefined) throw new Error(`"${seed}" at ${offset} is not there from byte ${at} on`);
  return "";
}

async function digest(device: ByteDevice, offset: number, length: number): Promise<string> {
  const hash = createHash("sha256");
  for (let at = 0; at < length; at += CHUNK)
    hash.update(await device.read(offset + at, Math.min(CHUNK, length - at)));
  return hash.digest("hex");
}

const [verb = "", path = "", offset = "0", length = "0", seed = ""] = process.argv.slice(2);
try {
  const device = await openDevice(path, verb === "verify" || verb === "digest");
  process.stdout.write(await perform(device, verb, [Number(offset), Number(length)], seed));
  await device.close();
} catch (error) {
  process.stderr.write(
    `${verb} ${path}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  process.exitCode = 1;
}
