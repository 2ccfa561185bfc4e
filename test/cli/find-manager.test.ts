import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { findManager } from "../../cli/client.js";

test("the manager is looked for in one place after the other", () => {
  const folder = mkdtempSync(join(tmpdir(), "vas-find-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const [local, installed, named] = ["local", "installed", "named"].map((name) => join(folder, name));
  const usual = [local ?? "", installed ?? ""];
  const hostOf = (options: object, environment: NodeJS.ProcessEnv = {}): string | undefined =>
    findManager(options, environment, usual)[0]?.host;
  const write = (path: string | undefined, host: string): void =>
    writeFileSync(path ?? "", `[storage_manager]\nhost_list: ${host}\n`);

  expect(findManager({}, {}, usual)).toEqual([{ host: "127.0.0.1", port: 8881 }]);
  write(installed, "10.0.0.1");
  expect(hostOf({})).toBe("10.0.0.1");
  write(local, "10.0.0.2");
  expect(hostOf({})).toBe("10.0.0.2");
  write(named, "10.0.0.3");
  expect(hostOf({ config: named })).toBe("10.0.0.3");
  expect(hostOf({ config: named }, { VAS_MANAGER: "10.0.0.4" })).toBe("10.0.0.4");
  expect(hostOf({ manager: "10.0.0.5" }, { VAS_MANAGER: "10.0.0.4" })).toBe("10.0.0.5");
  expect(findManager({ manager: "[::1]:8891" }, {}, usual)).toEqual([{ host: "::1", port: 8891 }]);
  expect(() => findManager({ manager: "host:99999" }, {}, usual)).toThrow("is not HOST or HOST:PORT");
});
