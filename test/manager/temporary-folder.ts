import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { openStore, type Store } from "../../manager/store/open-store.js";

/** A folder of this test's own, removed when it ends. */
export async function temporaryFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "vas-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A new, empty store in a file of its own, closed when the test ends. */
export async function temporaryStore(): Promise<Store> {
  const store = await openStore(join(await temporaryFolder(), "manager.db"));
  // Hooks run in reverse order: it is closed before its folder is removed.
  onTestFinished(() => store.close());
  return store;
}
