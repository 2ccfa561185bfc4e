import { quoteReceived, XmlRpcFormatError } from "./format-error.js";

const DATE_TIME =
  /^(\d{4})-?(\d\d)-?(\d\d)T(\d\d):?(\d\d):?(\d\d)(?:\.(\d{1,9}))?(Z|[+-](?:[01]\d|2[0-3]):?[0-5]\d)?$/;
const LAST_YEAR = 9999;

/**
 * Writes a date as `19980717T14:08:55`, in UTC. XML-RPC knows neither zones nor fractions, and Python's client refuses
 * both, so milliseconds are dropped. Returns undefined if the date is invalid or its year has not four digits.
 */
export function formatDateTime(date: Date): string | undefined {
  const year = date.getUTCFullYear();
  if (Number.isNaN(year) || year < 0 || year > LAST_YEAR) return undefined;
  return date.toISOString().slice(0, 19).replaceAll("-", "");
}

/**
 * Reads the forms of ISO 8601 that XML-RPC programs send: with or without separators, a fraction, a zone. Without a
 * zone it is UTC.
 *
 * @throws XmlRpcFormatError for any other form and for days that do not exist
 */
export function parseDateTime(text: string): Date {
  const parts = DATE_TIME.exec(text.trim());
  if (parts !== null) {
    const [, year, month, day, hour, minute, second, fraction = "", zone = "Z"] = parts;
    const written = `${year}-${month}-${day}T${hour}:${minute}:${second}`;
    const local = new Date(`${written}.${fraction.slice(0, 3).padEnd(3, "0")}Z`);
    // Date carries 31 February over into March; only a day that exists reads back the same.
    if (!Number.isNaN(local.getTime()) && local.toISOString().startsWith(written)) {
      return new Date(local.getTime() - zoneMilliseconds(zone));
    }
  }
  throw new XmlRpcFormatError(`${quoteReceived(text)} is not a dateTime.iso8601.`);
}

function zoneMilliseconds(zone: string): number {
  if (zone === "Z") return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(-2));
  return (zone.startsWith("-") ? -minutes : minutes) * 60_000;
}
