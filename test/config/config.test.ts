import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { ConfigError, loadConfig, sections } from "../../shared/config.js";
import { oldKeys } from "../../shared/config-old-keys.js";
import { renderConfiguration } from "./page.js";

const page = new URL("../../docs/configuration.md", import.meta.url);
const fixture = (name: string): string => fileURLToPath(new URL(name, import.meta.url));
const path = join(tmpdir(), `vas-config-${process.pid}.conf`);
afterAll(() => rmSync(path, { force: true }));

function load(lines: readonly string[], env: NodeJS.ProcessEnv = {}) {
  writeFileSync(path, lines.join("\n"));
  return loadConfig(path, env);
}

function refusalOf(...lines: string[]): string {
  try {
    load(lines);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as ConfigError).message.replace(path, "vas.conf");
  }
  throw new Error(`was accepted: ${lines.join(" / ")}`);
}

test("the file that Vastsky installs is used as it is", () => {
  const config = loadConfig(fixture("installed.conf"), {});
  const usual = loadConfig(undefined, {});
  expect(config).toEqual({
    ...usual,
    storage_manager: { ...usual.storage_manager, host_list: ["192.168.20.6"] },
    iscsi: { ...usual.iscsi, iqn_prefix: "iqn.2000-11.jp.co.valinux" },
  });
});

test("every key that the original reads is accepted, and those without effect are told", () => {
  const config = loadConfig(fixture("old-keys.conf"), {});
  expect(config.storage_manager).toMatchObject({
    host_list: ["192.168.20.6", "192.168.30.6"],
    extent_sizes_gb: [10, 1],
    max_resync_tasks: 8,
    max_shred_tasks_per_server: 4,
  });
  expect(config.log.level).toBe("warn");
  const lines = readFileSync(fixture("old-keys.conf"), "utf8").split("\n");
  const unused = oldKeys.filter(({ means }) => means === undefined);
  expect(config.ignored).toHaveLength(unused.length);
  for (const { section, key } of unused) {
    const line = lines.findIndex((text) => text.startsWith(`${key}:`)) + 1;
    expect(config.ignored).toContain(
      `${fixture("old-keys.conf")} line ${line}: [${section}] ${key} has no effect`,
    );
  }
});

test("the forms that Python 2 reads are read", () => {
  const { storage_manager, ssvr_agent, hsvr_agent } = load([
    "\uFEFF# a comment",
    "rem another one",
    "[storage_manager]   ; and one more",
    "HOST_LIST = 10.0.0.1,",
    "\t10.0.0.2",
    "port=8891 ; not 8881",
    "database: /a;b=c:d",
    "[ssvr_agent]",
    "zone: 100%%",
    "disks = /dev/sda",
    "; a comment between the lines of a value",
    "    /dev/sdb ; the second one",
    "",
    "    /dev/sdc",
    "[hsvr_agent]",
    'nbd_listen = ""',
    "[storage_manager]",
    "port = 8892",
  ]);
  expect(storage_manager).toMatchObject({
    host_list: ["10.0.0.1", "10.0.0.2"],
    port: 8892,
    database: "/a;b=c:d",
  });
  expect(ssvr_agent).toMatchObject({ zone: "100%", disks: ["/dev/sda", "/dev/sdb", "/dev/sdc"] });
  expect(hsvr_agent.nbd_listen).toBe("");
});

test("an old and a new name of the same key are not both accepted", () => {
  const message = refusalOf("[storage_manager]", "extent_sizes_gb = 5, 1", "extentsize: 10");
  expect(message).toContain("vas.conf line 3");
  expect(message).toContain("extentsize");
  expect(message).toContain("extent_sizes_gb");
  expect(message).toContain("line 2");
});

test("the log's level of ours wins over the old one, and the environment over both", () => {
  const lines = ["[syslog]", "loglevel: debug", "[log]", "level = error"];
  expect(load(lines.slice(0, 2)).log.level).toBe("debug");
  expect(load(lines).log.level).toBe("error");
  expect(load(lines, { VAS_LOG_LEVEL: "fatal" }).log.level).toBe("fatal");
});

test("an iSCSI prefix means the same with and without its beginning", () => {
  for (const prefix of ["iqn.2000-11.jp.co.valinux", "2000-11.jp.co.valinux"]) {
    expect(load(["[iscsi]", `iqn_prefix: ${prefix}`]).iscsi.iqn_prefix).toBe("iqn.2000-11.jp.co.valinux");
  }
});

test.each([
  [["[storage_manager]", "prot = 1"], /^vas\.conf line 2: \[storage_manager\] has no key "prot"; known are/],
  [["", "[Storage_manager]"], /^vas\.conf line 2: there is no section \[Storage_manager\]; known are/],
  [["port = 1"], /^vas\.conf line 1: a key must stand below a section/],
  [["[log]", "json"], /^vas\.conf line 2: expected "key = value", found "json"/],
  [["[storage_manager]", "port = 70000"], /^vas\.conf line 2: port must be a port number/],
  [
    ["[storage_manager]", "max_silent_servers ="],
    /^vas\.conf line 2: max_silent_servers must be a whole number/,
  ],
  [
    ["[storage_manager]", "replace_after = 0x10"],
    /^vas\.conf line 2: replace_after must be a number of seconds/,
  ],
  [["[storage_manager]", "host_list:"], /^vas\.conf line 2: host_list must name at least one address/],
  [["[storage_manager]", "extentsize: 0"], /^vas\.conf line 2: extent_sizes_gb must be sizes/],
  [["[storage_manager]", "shredder_count: many"], /^vas\.conf line 2: max_shred_tasks_per_server must be/],
  [["[storage_manager]", "database: %(home)s/db"], /^vas\.conf line 2: a value can't refer to another one/],
  [["[storage_manager]", "port: 1", "  listen: 10.0.0.1"], /^vas\.conf line 3: .* without white space/],
  [["[storage_manager]", "  10.0.0.1"], /^vas\.conf line 2: .* continues no value/],
  [["[ssvr_agent]", "scrub_sleep_time: often"], /^vas\.conf line 2: scrub_sleep_time must be a number/],
  [["[ssvr_agent]", "force = maybe"], /^vas\.conf line 2: force must be true or false/],
  [["[iscsi]", "iqn_prefix: valinux"], /^vas\.conf line 2: iqn_prefix must be like/],
  [["[syslog]", "loglevel: LOUD"], /^vas\.conf line 2: loglevel must be one of CRITICAL/],
  [["[log]", "level = loud"], /^vas\.conf line 2: level /],
] as const)("a wrong line is refused with its number: %j", (lines, message) => {
  expect(refusalOf(...lines)).toMatch(message);
});

test("every key says what it means", () => {
  const silent = Object.entries(sections).flatMap(([name, { shape }]) =>
    Object.entries(shape)
      .filter(([, schema]) => (schema.description ?? "") === "")
      .map(([key]) => `[${name}] ${key}`),
  );
  expect(silent).toEqual([]);
});

test("docs/configuration.md is what shared/config.ts says", () => {
  if (process.env.VAS_WRITE_DOCS === "1") writeFileSync(page, renderConfiguration());
  expect(readFileSync(page, "utf8")).toBe(renderConfiguration());
});
