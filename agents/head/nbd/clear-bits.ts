import type { Milliseconds } from "../../../shared/units.js";
import type { Mirror } from "./mirror.js";

/**
 * Clears the bits of regions that no write needs any more (rule R6): flushes, and takes the bits of regions that were not
 * written since before that flush began. Only in mirrors of which every member is INSYNC, before and after.
 *
 * @param flush returns 0 if everything acknowledged before is durable on all members
 * @param idleSweeps for how many calls of this a region must not have been written
 */
export async function clearIdleBits(
  mirrors: readonly Mirror[],
  flush: () => Promise<number>,
  idleSweeps: number,
): Promise<void> {
  const candidates = mirrors
    .filter(({ isWhole }) => isWhole)
    .map((mirror) => ({
      mirror,
      version: mirror.version,
      bits: mirror.records.intent.beginSweep(idleSweeps),
    }))
    .filter(({ bits }) => bits !== undefined);
  if (candidates.length === 0 || (await flush()) !== 0) return;
  await Promise.all(
    candidates.map(async ({ mirror, version, bits }) => {
      // Another version: members left or came since, and a member that was away needs the bits.
      if (bits === undefined || !mirror.isWhole || mirror.version !== version) return;
      const { records } = mirror;
      records.clear(bits);
      await new Promise<void>((resolve) => records.commit(() => resolve()));
    }),
  );
}

/** Has idle bits cleared again and again; one that takes long is not overtaken by the next. */
export class BitSweeper {
  readonly #timer: NodeJS.Timeout;
  #isSweeping = false;

  constructor(
    periodMs: Milliseconds,
    private readonly clear: (idleSweeps: number) => Promise<void>,
  ) {
    this.#timer = setInterval(() => void this.#sweep(), periodMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #sweep(): Promise<void> {
    if (this.#isSweeping) return;
    this.#isSweeping = true;
    await this.clear(1);
    this.#isSweeping = false;
  }
}
