import { onTestFinished } from "vitest";
import { NbdClient } from "./nbd-client.js";
import type { TestServer } from "./test-server.js";

export { firstMismatch, writeAll } from "./chunked-io.js";

/** Opens an attached volume at its head server; closed when the test ends. */
export async function openVolume(head: TestServer, name: string): Promise<NbdClient> {
  const client = await NbdClient.connect({ path: head.socket(name) });
  onTestFinished(() => client.close());
  return client;
}
