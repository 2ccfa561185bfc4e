import { closeSync, openSync, readSync, writeSync } from "node:fs";
import { type LinkRequest, NbdCommand } from "./disk-link.js";

const PAGE = 4096;

/**
 * What a disk would lose with its power: the content that each page had when it was last durable. A flush counts for what
 * was answered before it was sent; what was written again meanwhile is taken to be durable too, as a disk may have it.
 */
export class UnflushedPages {
  readonly #file: number;
  readonly #pages = new Map<number, { readonly old: Buffer; readonly order: number }>();
  #order = 0;

  constructor(path: string) {
    this.#file = openSync(path, "r+");
  }

  get count(): number {
    return this.#pages.size;
  }

  /** A request is passed on to the disk. */
  sent(request: LinkRequest): void {
    this.#order += 1;
    request.order = this.#order;
    if (!changes(request)) return;
    for (const page of pagesOf(request)) {
      if (this.#pages.has(page)) continue;
      const old = Buffer.alloc(PAGE);
      readSync(this.#file, old, 0, PAGE, page * PAGE);
      this.#pages.set(page, { old, order: this.#order });
    }
  }

  /** It succeeded. */
  answered(request: LinkRequest): void {
    if (request.command === NbdCommand.FLUSH) {
      for (const [page, { order }] of this.#pages) if (order < request.order) this.#pages.delete(page);
    } else if (changes(request) && request.isFua) {
      for (const page of pagesOf(request)) this.#pages.delete(page);
    }
  }

  /** The power is gone. @param isLost chooses the pages that had not been written out */
  lose(isLost: () => boolean): void {
    for (const [page, { old }] of this.#pages) {
      if (isLost()) writeSync(this.#file, old, 0, PAGE, page * PAGE);
    }
    this.forget();
  }

  forget(): void {
    this.#pages.clear();
  }

  /** What is on the disk, past everything. */
  peek(offset: number, length: number): Buffer {
    const bytes = Buffer.alloc(length);
    readSync(this.#file, bytes, 0, length, offset);
    return bytes;
  }

  close(): void {
    closeSync(this.#file);
  }
}

const changes = ({ command }: LinkRequest): boolean =>
  command === NbdCommand.WRITE || command === NbdCommand.TRIM || command === NbdCommand.WRITE_ZEROES;

function* pagesOf({ offset, length }: LinkRequest): Generator<number> {
  for (let page = Math.floor(offset / PAGE); page * PAGE < offset + length; page += 1) yield page;
}
