import { Socket, type SocketConstructorOpts } from "node:net";
import type { ReceiveSlabs } from "./receive-slabs.js";

/**
 * Makes an accepted socket receive into slabs of our own, as `onread` does for sockets that connect. Node has no public
 * way to say so for accepted ones; what is used is the constructor's `handle`, which net.Server itself uses, and the
 * private `_handle` that it is taken from. Where there is none, the socket stays as it is and tells by `data` events, each
 * with 64 KiB of fresh memory.
 *
 * Together with the use of slabs again and the joining of their pieces it brought writes of 1 MiB at depth 16 to three
 * copies from 6.5 to 3.0 ms of CPU time and random ones of 4 KiB from 82 to 57 µs (medians of 3 rounds of 2 s on tmpfs,
 * `SECS=2 bench/volume.sh BUILD OTHER_BUILD`); what each of the three brought alone was not measured.
 *
 * @returns the socket to use from now on, paused
 */
export function receiveInto(
  accepted: Socket,
  slabs: ReceiveSlabs,
  received: (piece: Buffer) => void,
): Socket {
  const owner = accepted as unknown as { _handle?: { useUserBuffer?: unknown } | null };
  const handle = owner._handle;
  if (typeof handle?.useUserBuffer !== "function") {
    accepted.on("data", received);
    accepted.pause();
    return accepted;
  }
  owner._handle = null;
  accepted.destroy();
  const options = {
    handle,
    manualStart: true,
    onread: {
      buffer: () => slabs.room(),
      callback: (count: number) => {
        received(slabs.received(count));
        return true;
      },
    },
  };
  return new Socket(options as SocketConstructorOpts);
}
