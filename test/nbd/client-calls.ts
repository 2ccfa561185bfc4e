import type { NbdClient } from "../../agents/common/nbd/client.js";

/** The calls of a client as promises of errnos. */

export function readBytes(client: NbdClient, offset: number, length: number): Promise<Buffer> {
  return new Promise((resolve, reject) =>
    client.read(offset, length, (errno, data) =>
      errno === 0 ? resolve(Buffer.concat(data)) : reject(new Error(`errno ${errno}`)),
    ),
  );
}

export function readErrno(client: NbdClient, offset: number, length: number): Promise<number> {
  return new Promise((resolve) => client.read(offset, length, resolve));
}

export function writeBytes(client: NbdClient, offset: number, data: Buffer, fua = false): Promise<number> {
  return new Promise((resolve) => client.write(offset, data.length, [data], fua, resolve));
}

export function flush(client: NbdClient): Promise<number> {
  return new Promise((resolve) => client.flush(resolve));
}

export function trim(client: NbdClient, offset: number, length: number): Promise<number> {
  return new Promise((resolve) => client.trim(offset, length, false, resolve));
}

export function writeZeroes(client: NbdClient, offset: number, length: number): Promise<number> {
  return new Promise((resolve) => client.writeZeroes(offset, length, true, resolve));
}
