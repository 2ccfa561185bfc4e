/**
 * Network namespaces and mounts can be made by root alone.
 *
 * @throws a sentence that says so: a test that can't make its fault has failed.
 */
export function requireRoot(what: string): void {
  if (process.getuid?.() !== 0) throw new Error(`${what} can be made by root only; run this test as root`);
}
