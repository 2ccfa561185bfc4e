import { expect } from "vitest";
import type { NbdClient } from "../harness/nbd-client.js";
import { randomData } from "../harness/random-data.js";

const PIECE = 4 * 1024 * 1024;

/** A part of a volume that a test writes to, with what it should hold. */
export class Window {
  readonly content: Buffer;

  constructor(
    readonly start: number,
    length: number,
  ) {
    this.content = Buffer.alloc(length);
  }

  /** Fills all of it. */
  async fill(client: NbdClient, name: string): Promise<void> {
    randomData(name, this.content.length).copy(this.content);
    for (let at = 0; at < this.content.length; at += PIECE) {
      await client.write(this.start + at, this.content.subarray(at, at + PIECE));
    }
  }

  /** A write, trim or write of zeroes of any size at any place. */
  async change(client: NbdClient, random: (below: number) => number, longest: number): Promise<void> {
    const length = 1 + random(Math.min(longest, this.content.length));
    const at = random(this.content.length - length + 1);
    const kind = random(4);
    if (kind === 0) await client.trim(this.start + at, length);
    else if (kind === 1) await client.zero(this.start + at, length);
    else {
      const data = randomData(`${this.start} ${at} ${random(1_000_000)}`, length);
      await client.write(this.start + at, data);
      data.copy(this.content, at);
      return;
    }
    this.content.fill(0, at, at + length);
  }
}

/** What a client reads there. */
export async function readAll(client: NbdClient, start: number, length: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for (let at = 0; at < length; at += PIECE) {
    parts.push(await client.read(start + at, Math.min(PIECE, length - at)));
  }
  return Buffer.concat(parts);
}

/** Fails with the first place that is different. */
export async function expectContent(client: NbdClient, start: number, content: Buffer): Promise<void> {
  const read = await readAll(client, start, content.length);
  if (read.equals(content)) return;
  const at = read.findIndex((byte, place) => byte !== content[place]);
  expect.fail(`byte ${start + at} is ${read[at]}, not ${content[at]}`);
}
