import { expect } from "vitest";
import { type HostileRequest, toBytes } from "./hostile-request.js";
import { RawConnection } from "./raw-connection.js";

/** A server, and a good request that it answers with something that holds `answer`. */
export interface HostileTarget {
  readonly host: string;
  readonly port: number;
  readonly good: string;
  readonly answer: string;
}

/** Sends a hostile request, and expects what its row says. After a fault the same connection takes a good call. */
export async function sendHostile(target: HostileTarget, request: HostileRequest): Promise<void> {
  const bytes = toBytes(request);
  const connection = await RawConnection.open(target.port, target.host);
  try {
    connection.send(bytes);
    if (request.ending === "end") connection.end();
    if (request.ending === "reset") connection.reset();
    await expectOutcome(connection, request, target);
  } finally {
    connection.reset();
  }
}

async function expectOutcome(
  connection: RawConnection,
  { expect: outcome }: HostileRequest,
  target: HostileTarget,
): Promise<void> {
  const [kind, code = ""] = outcome.split(" ");
  if (kind === "fault") return expectFault(connection, code, target);
  if (kind === "answer") {
    return connection.until("an answer", ({ received }) => received.includes("<methodResponse><params>"));
  }
  if (kind === "harmless") return expectHarmless(connection);
  if (kind === "closed" || kind === "reset") return connection.until("the end", ({ closed }) => closed);
  return connection.until(`status ${outcome}`, ({ received }) => received.includes(`HTTP/1.1 ${outcome} `));
}

async function expectFault(
  connection: RawConnection,
  code: string,
  { good, answer }: HostileTarget,
): Promise<void> {
  await connection.until("a fault", ({ received }) => received.includes("</methodResponse>"));
  expect(connection.received).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
  expect(connection.received).toContain(`<name>faultCode</name><value><int>${code}</int>`);
  connection.send(good);
  await connection.until("an answer after the fault", ({ received }) => received.includes(answer));
}

/** Either answer may be right; a defect of ours is not. */
async function expectHarmless(connection: RawConnection): Promise<void> {
  await connection.until("an answer or a fault", ({ received }) => received.includes("</methodResponse>"));
  expect(connection.received).not.toContain("<name>faultCode</name><value><int>500</int>");
}
