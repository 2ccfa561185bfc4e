import { createHash } from "node:crypto";
import { z } from "zod";
import type { Bytes } from "../../shared/units.js";
import { wireCounter, wireId } from "../../shared/wire-types.js";
import { InTurn } from "../common/in-turn.js";
import { DirectReader, MOST_READ } from "./direct-reader.js";
import type { ReadAnswer, ReadRequest } from "./disk-reader.js";
import type { OpenDisk } from "./disks.js";
import { openVerified } from "./open-verified.js";

/** `node disk-reader-main.js SPEC`: reads one disk for the storage agent, which may leave it behind if the disk hangs. */
const specDocument = z.object({
  pdskid: wireId,
  index: wireCounter,
  path: z.string(),
  bytes: wireCounter,
  cluster: z.string(),
});

interface Opened {
  readonly disk: OpenDisk;
  readonly reader: DirectReader;
}

const spec = specDocument.parse(JSON.parse(process.argv[2] ?? "{}"));
const turns = new InTurn();
let opened: Opened | undefined;

async function open(): Promise<Opened> {
  const disk = await openVerified(spec, spec.cluster);
  return { disk, reader: await DirectReader.open(disk.handle) };
}

/** @returns the SHA-256 of the range. @throws the error of the read that failed */
async function digest(reader: DirectReader, { from, length }: ReadRequest): Promise<string> {
  const hash = createHash("sha256");
  for (let done = 0; done < length; ) {
    const piece: Bytes = Math.min(MOST_READ, length - done);
    const found = await reader.read(from + done, piece);
    if (found.length === 0) throw Object.assign(new Error("the disk ends there"), { code: "EIO" });
    hash.update(found);
    done += found.length;
  }
  return hash.digest("hex");
}

async function answer(request: ReadRequest): Promise<ReadAnswer> {
  try {
    opened ??= await open();
    return { id: request.id, sha256: await digest(opened.reader, request) };
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return { id: request.id, code: code ?? "EAGAIN", message };
  }
}

process.on("message", (request: ReadRequest) => {
  void turns.run(async () => process.send?.(await answer(request)));
});
// The agent is gone, or does not need us any more.
process.on("disconnect", () => process.exit(0));
