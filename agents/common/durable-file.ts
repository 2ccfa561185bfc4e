import { constants } from "node:fs";
import { type FileHandle, open, readFile, rename } from "node:fs/promises";
import { dirname } from "node:path";
import { crc32 } from "node:zlib";

/** A durable document that can't be used as it is; the message names the file and says what to do. */
export class DamagedFileError extends Error {
  override readonly name = "DamagedFileError";
}

/**
 * A JSON object on disk whose first member, `crc32`, is the checksum of all that follows it; so it can be read as plain
 * JSON too. Files are replaced, never changed: a reader after a crash finds the old document or the new one, whole.
 */
const HEAD_PATTERN = /^\{"crc32":"([0-9a-f]{8})"/;

/**
 * Makes a document durable: when this returns, it survives the loss of power. Mode 0600.
 *
 * Two writes of one path must not run at the same time: the writer's owner serialises them.
 */
export async function writeDurable(path: string, document: object): Promise<void> {
  const body = JSON.stringify(document).slice(1);
  const rest = body === "}" ? body : `,${body}`;
  const temporary = `${path}.tmp`;
  const { O_WRONLY, O_CREAT, O_TRUNC } = constants;
  await withFile(await open(temporary, O_WRONLY | O_CREAT | O_TRUNC, 0o600), async (file) => {
    await file.writeFile(`{"crc32":"${checksum(rest)}"${rest}\n`);
    await file.sync();
  });
  await rename(temporary, path);
  await syncFolder(dirname(path));
}

/**
 * Reads a document.
 *
 * @returns undefined if there is none
 * @throws DamagedFileError if its checksum is wrong: then it must not be taken for the truth
 */
export async function readDurable(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
  const head = HEAD_PATTERN.exec(text);
  if (head === null) throw damaged(path, "it does not begin with a checksum");
  const rest = text.slice(head[0].length).trimEnd();
  if (checksum(rest) !== head[1]) throw damaged(path, "its checksum is wrong");
  return JSON.parse(`{${rest.replace(/^,/, "")}`);
}

/** Makes the names in a folder durable, after files were created, renamed or removed in it. */
export async function syncFolder(path: string): Promise<void> {
  await withFile(await open(path, constants.O_RDONLY), (folder) => folder.sync());
}

/** The error for a document whose content makes no sense. */
export function damaged(path: string, why: string, cause?: unknown): DamagedFileError {
  return new DamagedFileError(
    `${path} is damaged: ${why}. Restore it from a backup, or move it away if what it says is known to be gone.`,
    { cause },
  );
}

async function withFile(file: FileHandle, use: (file: FileHandle) => Promise<void>): Promise<void> {
  try {
    await use(file);
  } finally {
    await file.close();
  }
}

function checksum(text: string): string {
  return crc32(text).toString(16).padStart(8, "0");
}
