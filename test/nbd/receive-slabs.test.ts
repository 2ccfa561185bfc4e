import { describe, expect, it } from "vitest";
import { ByteQueue } from "../../agents/common/nbd/byte-queue.js";
import { ReceiveSlabs } from "../../agents/common/nbd/receive-slabs.js";

const MESSAGE = 40_000;
const ENOUGH_FOR_MANY_SLABS = 500;

/** A connection that receives messages of one repeated byte. */
function connection() {
  const queue = new ByteQueue();
  const slabs = new ReceiveSlabs(queue);
  const memory = new Set<ArrayBufferLike>();
  const receive = (value: number): void => {
    for (let left = MESSAGE; left > 0; ) {
      const room = slabs.room();
      memory.add(room.buffer);
      const count = Math.min(left, room.length);
      room.fill(value, 0, count);
      queue.push(slabs.received(count));
      left -= count;
    }
  };
  const take = (): Buffer[] => queue.take(MESSAGE);
  return { slabs, memory, receive, take };
}

const isAll = (payload: readonly Buffer[], value: number): boolean =>
  payload.every((piece) => piece.every((byte) => byte === value));

describe("received bytes", () => {
  it("stay as they are while they are held, however much comes after them", () => {
    const { slabs, receive, take } = connection();
    receive(7);
    const held = take();
    slabs.hold(held);
    for (let turn = 0; turn < ENOUGH_FOR_MANY_SLABS; turn += 1) {
      receive(9);
      const payload = take();
      slabs.hold(payload);
      slabs.release(payload);
    }
    expect(isAll(held, 7)).toBe(true);
  });

  it("stay as they are while they are not parsed, though what came before them is released", () => {
    const { slabs, receive, take } = connection();
    for (let turn = 0; turn < ENOUGH_FOR_MANY_SLABS; turn += 1) receive(turn % 251);
    for (let turn = 0; turn < ENOUGH_FOR_MANY_SLABS; turn += 1) {
      const payload = take();
      slabs.hold(payload);
      expect(isAll(payload, turn % 251)).toBe(true);
      slabs.release(payload);
    }
  });

  it("share memory with later ones once they are released", () => {
    const { slabs, memory, receive, take } = connection();
    for (let turn = 0; turn < ENOUGH_FOR_MANY_SLABS; turn += 1) {
      receive(1);
      const payload = take();
      slabs.hold(payload);
      receive(2); // so that the queue is not empty when the payload is released
      slabs.release(payload);
      take();
    }
    expect(memory.size).toBeLessThan(4);
  });

  it("stay as they are when more slabs are held than are kept for use again", () => {
    const { slabs, receive, take } = connection();
    const held = Array.from({ length: 3000 }, (_, turn) => {
      receive(turn % 251);
      const payload = take();
      slabs.hold(payload);
      return payload;
    });
    expect(held.every((payload, turn) => isAll(payload, turn % 251))).toBe(true);
    for (const payload of held) slabs.release(payload);
  });
});
