import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import { XmlRpcFormatError } from "./format-error.js";

const unzip = promisify(gunzip);

/** The body is larger than the receiver takes, packed or unpacked. */
export class BodyTooLargeError extends Error {
  override readonly name = "BodyTooLargeError";
}

/** The other side left before the end of its message. */
export class BodyCutShortError extends Error {
  override readonly name = "BodyCutShortError";
}

/**
 * Collects the body of a request or an answer, at most `maxBytes`. A body known to be larger is given up at once: by
 * its Content-Length before anything of it is read, else when it has grown too long. The message is then left paused.
 *
 * @throws BodyTooLargeError, BodyCutShortError
 */
export function readBody(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLarge = new BodyTooLargeError(`The body is larger than ${maxBytes} bytes.`);
  if (Number(message.headers["content-length"] ?? 0) > maxBytes) return Promise.reject(tooLarge);
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const collect = (chunk: Buffer): void => {
      length += chunk.length;
      chunks.push(chunk);
      if (length <= maxBytes) return;
      message.off("data", collect);
      message.pause();
      chunks.length = 0;
      reject(tooLarge);
    };
    message.on("data", collect);
    message.once("end", () => resolve(Buffer.concat(chunks)));
    const cutShort = (cause?: unknown): void =>
      reject(new BodyCutShortError("The connection ended within the body.", { cause }));
    message.on("error", cutShort);
    message.once("close", () => cutShort());
  });
}

/**
 * Unpacks a gzip body, to at most `maxBytes`: a thousandfold growth is easily made.
 *
 * @throws BodyTooLargeError if it is larger unpacked, XmlRpcFormatError if it is not gzip
 */
export async function unpackBody(packed: Buffer, maxBytes: number): Promise<Buffer> {
  try {
    return await unzip(packed, { maxOutputLength: maxBytes });
  } catch (cause) {
    if (cause instanceof RangeError) {
      throw new BodyTooLargeError(`The body is larger than ${maxBytes} bytes when unpacked.`);
    }
    throw new XmlRpcFormatError("The body is not valid gzip.", { cause });
  }
}
