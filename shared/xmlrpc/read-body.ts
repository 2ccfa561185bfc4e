import type { IncomingMessage } from "node:http";
import { promisify } from "node:util";
import { gunzip } from "node:zlib";
import type { ByteBudget } from "./byte-budget.js";
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
 * @param budget what the body is taken from as it arrives; whoever gets it gives its length back. Nothing is kept of one
 * that is given up.
 * @throws BodyTooLargeError, BodyCutShortError, BudgetSpentError
 */
export function readBody(message: IncomingMessage, maxBytes: number, budget?: ByteBudget): Promise<Buffer> {
  // Made when needed: a stack trace for each message would be a fifth of the cost of a small call.
  const tooLarge = () => new BodyTooLargeError(`The body is larger than ${maxBytes} bytes.`);
  if (Number(message.headers["content-length"] ?? 0) > maxBytes) return Promise.reject(tooLarge());
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = [];
    let length = 0;
    const giveUp = (reason: unknown): void => {
      message.off("data", collect);
      message.pause();
      chunks.length = 0;
      budget?.give(length);
      length = 0;
      reject(reason);
    };
    const collect = (chunk: Buffer): void => {
      if (length + chunk.length > maxBytes) {
        giveUp(tooLarge());
        return;
      }
      try {
        budget?.take(chunk.length);
      } catch (error) {
        giveUp(error);
        return;
      }
      length += chunk.length;
      chunks.push(chunk);
    };
    const cutShort = (cause?: unknown): void =>
      giveUp(new BodyCutShortError("The connection ended within the body.", { cause }));
    const leave = (): void => cutShort();
    message.on("data", collect);
    message.on("error", cutShort);
    message.once("close", leave);
    message.once("end", () => {
      message.off("close", leave);
      message.off("error", cutShort);
      resolve(Buffer.concat(chunks));
    });
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
