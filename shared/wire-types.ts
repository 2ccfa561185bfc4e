import { isIP, isIPv6, SocketAddress } from "node:net";
import { z } from "zod";
import { MAX_ID } from "./ids.js";

/** Building blocks of parameter schemas: what travels in an XML-RPC struct, with sentences that a client can use. */

/** int, i4, i8 or a whole double; a string that looks like a number is refused. */
export const wireInt = z.number({ error: "must be an int" }).int({ error: "must be a whole number" });
/** An id or another count that starts at 1. */
export const wireId = wireInt
  .min(1, { error: "must be at least 1" })
  .max(MAX_ID, { error: `must be at most ${MAX_ID}` });
/** A number that never fits 32 bits for sure: epochs, versions, serials. */
export const wireCounter = wireInt.min(0, { error: "must not be negative" });

const NAME_PATTERN = /^[A-Za-z0-9._-]{1,64}$/;

/** A volume name: 1..64 characters of `A-Z a-z 0-9 . - _`, not `.` or `..`, not of the form `lvol-` + hex digits. */
export const volumeName = z
  .string({ error: "must be a string" })
  .regex(NAME_PATTERN, { error: "must be 1 to 64 characters of A-Z a-z 0-9 . - _" })
  .refine((name) => name !== "." && name !== "..", { error: 'must not be "." or ".."' })
  .refine((name) => !/^lvol-[0-9a-f]+$/i.test(name), {
    error: 'must not look like an id ("lvol-" and hex digits)',
  });

/** One spelling for each address: a server is known again by it. What is none, or has a zone, stays as it is. */
function spellAddress(text: string): string {
  if (!isIPv6(text) || text.includes("%")) return text;
  return new SocketAddress({ address: text, family: "ipv6" }).address;
}

/** 1 to 2 IPv4 or IPv6 addresses, without a repetition. */
export const dataAddresses = z
  .array(
    z
      .string({ error: "must be an array of strings" })
      .refine((text) => isIP(text) !== 0, { error: "must be an IPv4 or IPv6 address" })
      .overwrite(spellAddress),
    {
      error: "must be an array of 1 or 2 addresses",
    },
  )
  .min(1, { error: "must have 1 or 2 addresses" })
  .max(2, { error: "must have 1 or 2 addresses" })
  .refine((list) => new Set(list).size === list.length, { error: "must not name an address twice" });

export const portNumber = wireInt
  .min(1, { error: "must be a port number" })
  .max(65_535, { error: "must be a port number" });

/**
 * The first thing that is wrong with a value, as a sentence that names the member: `capacity must be an int`.
 */
export function describeIssue(error: z.ZodError): string {
  const issue = error.issues[0];
  if (issue === undefined) return "a parameter is wrong";
  const where = issue.path.map(String).join(".");
  return where === "" ? issue.message : `${where} ${issue.message}`;
}
