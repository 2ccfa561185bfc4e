import { type HostileRequest, readHostileRequests, toBytes } from "../../xmlrpc/hostile-request.js";

/** Of the manager's door. */
const MAX_BODY_BYTES = 1024 * 1024;

/**
 * The requests that the codec is tested with. They call methods that only its test server has, and the manager takes
 * smaller bodies: what they get differs accordingly.
 */
export function echoRows(): HostileRequest[] {
  return readHostileRequests().map((request) => ({ ...request, expect: outcomeOf(request) }));
}

function outcomeOf(request: HostileRequest): string {
  const isRefused = request.body !== undefined && toBytes(request).length > MAX_BODY_BYTES;
  if (isRefused) return "413";
  return request.expect === "answer" || request.expect === "fault 500" ? "harmless" : request.expect;
}
