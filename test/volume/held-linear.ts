import type { DiskCommand, DiskDone } from "../../agents/head/nbd/disk-request.js";
import type { Linear } from "../../agents/head/nbd/linear.js";

/** A request, first to be carried out and then to be answered, each when the test says so. */
interface Held {
  readonly isWrite: boolean;
  steps: (() => void)[];
}

/** Stands in for the mirrors: its content is in memory, and nothing happens in it by itself. */
export class HeldLinear {
  readonly size: number;
  readonly held: Held[] = [];
  /** Called before a write changes the content. */
  beforeWrite: () => void = () => undefined;

  constructor(readonly content: Buffer) {
    this.size = content.length;
  }

  get asLinear(): Linear {
    return this as unknown as Linear;
  }

  /** Writes that are not answered. */
  get writes(): number {
    return this.held.filter(({ isWrite }) => isWrite).length;
  }

  /** Lets one request get on. */
  step(index: number): void {
    const request = this.held[index % Math.max(1, this.held.length)];
    const next = request?.steps.shift();
    if (request === undefined || next === undefined) return;
    if (request.steps.length === 0) this.held.splice(this.held.indexOf(request), 1);
    next();
  }

  read(offset: number, length: number, done: DiskDone): void {
    let data = Buffer.alloc(0);
    const carryOut = (): void => {
      data = Buffer.from(this.content.subarray(offset, offset + length));
    };
    this.held.push({ isWrite: false, steps: [carryOut, () => done(0, [data])] });
  }

  write(
    command: DiskCommand,
    offset: number,
    length: number,
    _fua: boolean,
    payload: readonly Buffer[],
    done: (errno: number) => void,
  ): void {
    const carryOut = (): void => {
      this.beforeWrite();
      if (command === "write") Buffer.concat(payload).copy(this.content, offset);
      else this.content.fill(0, offset, offset + length);
    };
    this.held.push({ isWrite: true, steps: [carryOut, () => done(0)] });
  }

  isBroken(): boolean {
    return false;
  }
}
