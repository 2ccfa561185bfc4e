import { createCipheriv, createHash, randomInt } from "node:crypto";

/** Set VAS_SEED to repeat a run with the same data. */
export const seed = Number(process.env.VAS_SEED ?? randomInt(1, 2 ** 31));

const KEY_BYTES = 16;

/**
 * Data that can't be guessed or compressed and is the same for the same name and seed: the key stream of AES-CTR.
 *
 * @param name tells the pieces of one test apart.
 */
export function randomData(name: string, length: number): Buffer {
  const key = createHash("sha256").update(`${seed} ${name}`).digest().subarray(0, KEY_BYTES);
  return createCipheriv("aes-128-ctr", key, Buffer.alloc(KEY_BYTES)).update(Buffer.alloc(length));
}
