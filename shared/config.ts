import { readFileSync } from "node:fs";
import { z } from "zod";
import { describeIssue } from "./wire-types.js";

/**
 * `vas.conf`: INI sections and keys as Vastsky installations have them, ours beside them. A key is overridden by the
 * environment variable `VAS_<SECTION>_<KEY>` in capitals. Durations are in seconds, sizes in GB.
 */

const text = z.string();
const seconds = z.coerce
  .number({ error: "must be a number of seconds" })
  .min(0.01, { error: "must be positive" })
  .max(31_536_000);
const count = z.coerce
  .number({ error: "must be a whole number" })
  .int({ error: "must be a whole number" })
  .min(0, { error: "must not be negative" })
  .max(1_048_576);
const positive = count.min(1, { error: "must be at least 1" });
const port = positive.max(65_535, { error: "must be a port number" });
const flag = z
  .enum(["true", "false"], { error: "must be true or false" })
  .transform((value) => value === "true");
const words = text.transform((value) => value.split(/[\s,]+/).filter((word) => word !== ""));
const addresses = words.refine((list) => list.length >= 1 && list.length <= 2, {
  error: "must be 1 or 2 addresses",
});
const sizes = words
  .transform((list) => list.map(Number))
  .refine(
    (list) => list.length > 0 && list.every((size) => Number.isInteger(size) && size >= 1 && size <= 1024),
    {
      error: "must be sizes from 1 to 1024 GB",
    },
  )
  .refine((list) => list.includes(1), { error: "must include 1, so that every volume can be cut exactly" })
  .transform((list) => [...new Set(list)].sort((a, b) => b - a));

const sections = {
  storage_manager: z.object({
    /** Addresses at which agents and clients find the manager, tried in order. */
    host_list: words.default(["127.0.0.1"]),
    port: port.default(8881),
    /** Address that the manager listens on. */
    listen: text.default("127.0.0.1"),
    database: text.default("/var/lib/vas/manager.db"),
    extent_sizes_gb: sizes.default([10, 1]),
    attach_timeout: seconds.default(60),
    detach_timeout: seconds.default(60),
    /** Deadline of one call to an agent. */
    agent_timeout: seconds.default(10),
    /** Period of the check that all servers answer. */
    server_check_interval: seconds.default(30),
    /** Pause before a server that did not answer is asked once more. */
    server_check_retry: seconds.default(10),
    /** How long a silent server may stay away before its members are replaced elsewhere. */
    replace_after: seconds.default(600),
    /** With this many storage servers silent nothing is replaced automatically; 0 = half of them, rounded up. */
    max_silent_servers: count.default(0),
    /** Period of the reconcilers, which also run at each event. */
    reconcile_interval: seconds.default(5),
    max_retry_pause: seconds.default(60),
    max_resync_tasks: positive.default(16),
    max_shred_tasks: positive.default(72),
    max_shred_tasks_per_server: positive.default(20),
    /** A new disk becomes usable in steps of this size. */
    shred_slice_gb: positive.default(64),
  }),
  hsvr_agent: z.object({
    port: port.default(8882),
    /** Addresses of this head server on the data network; the agent listens on each. */
    listen: addresses.default(["127.0.0.1"]),
    state_dir: text.default("/var/lib/vas/head"),
    /** Where the volumes' sockets are. */
    run_dir: text.default("/run/vas"),
    /** Address of the TCP exports of volumes; empty = Unix sockets only. */
    nbd_listen: text.default(""),
    /** A member that does not answer for this long is reported as failed. */
    member_timeout: seconds.default(10),
    /** A snapshot whose space can't be written to for this long is given up, so that its origin goes on. */
    snapshot_timeout: seconds.default(30),
    /** Instead of the machine's boot id, for agents that share a machine. */
    boot_id: text.default(""),
  }),
  ssvr_agent: z.object({
    port: port.default(8883),
    listen: addresses.default(["127.0.0.1"]),
    /** First port of the disk exports: disk number n of this server is at nbd_port + n. */
    nbd_port: port.default(10809),
    state_dir: text.default("/var/lib/vas/storage"),
    /** Files or block devices to offer, absolute paths. */
    disks: words.default([]),
    /** Use disks even if they carry data that is not ours. It will be overwritten. */
    force: flag.default(false),
    zone: text.default(""),
    boot_id: text.default(""),
    scrub_interval: count.default(0),
    /** MiB a second that zeroing a disk, and reading it back, may load it with; holes count little. 0 = no limit. */
    shred_rate_mb: count.default(0),
    /** Space that was zeroed is read back before it counts as shredded. */
    shred_verify: flag.default(false),
  }),
  iscsi: z.object({ iqn_prefix: text.default("iqn.2010-10.com.example.vas") }),
  log: z.object({ format: z.enum(["json", "pretty"]).default("json"), level: text.default("info") }),
} as const;

type SectionName = keyof typeof sections;
type Settings<S extends SectionName> = Readonly<z.infer<(typeof sections)[S]>>;

export interface Config {
  readonly storage_manager: Settings<"storage_manager">;
  readonly hsvr_agent: Settings<"hsvr_agent">;
  readonly ssvr_agent: Settings<"ssvr_agent">;
  readonly iscsi: Settings<"iscsi">;
  readonly log: Settings<"log">;
}

/** A configuration that can't be used; the message names the file, the line and what to do. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}

interface RawValue {
  readonly value: string;
  /** `FILE line N`, or the environment variable. */
  readonly where: string;
}
type RawConfig = Map<SectionName, Map<string, RawValue>>;

function isSection(name: string): name is SectionName {
  return Object.hasOwn(sections, name);
}

function parseIni(content: string, file: string): RawConfig {
  const raw: RawConfig = new Map();
  let section: SectionName | undefined;
  for (const [index, line] of content.split(/\r?\n/).entries()) {
    const where = `${file} line ${index + 1}`;
    const trimmed = line.trim();
    if (trimmed === "" || trimmed.startsWith("#") || trimmed.startsWith(";")) continue;
    const header = /^\[([^\]]+)\]$/.exec(trimmed)?.[1]?.trim();
    if (header !== undefined) {
      if (!isSection(header)) {
        throw new ConfigError(
          `${where}: there is no section [${header}]; known are ${Object.keys(sections).join(", ")}`,
        );
      }
      section = header;
      continue;
    }
    const pair = /^([^=:]+?)\s*[=:]\s*(.*)$/.exec(trimmed);
    if (pair === null) throw new ConfigError(`${where}: expected "key = value", found "${trimmed}"`);
    if (section === undefined)
      throw new ConfigError(`${where}: a key must stand below a section such as [storage_manager]`);
    const [, key = "", value = ""] = pair;
    if (!Object.hasOwn(sections[section].shape, key)) {
      throw new ConfigError(
        `${where}: [${section}] has no key "${key}"; known are ${Object.keys(sections[section].shape).join(", ")}`,
      );
    }
    const entries = raw.get(section) ?? new Map<string, RawValue>();
    entries.set(key, { value, where });
    raw.set(section, entries);
  }
  return raw;
}

function readSection<S extends SectionName>(name: S, raw: RawConfig, env: NodeJS.ProcessEnv): Settings<S> {
  const values: Record<string, string> = {};
  const origins: Record<string, string> = {};
  for (const key of Object.keys(sections[name].shape)) {
    const variable = `VAS_${name}_${key}`.toUpperCase();
    const override = env[variable];
    const entry =
      override === undefined
        ? raw.get(name)?.get(key)
        : { value: override, where: `environment variable ${variable}` };
    if (entry === undefined) continue;
    values[key] = entry.value;
    origins[key] = entry.where;
  }
  const parsed = sections[name].safeParse(values);
  if (!parsed.success) {
    const key = String(parsed.error.issues[0]?.path[0] ?? "");
    throw new ConfigError(
      `${origins[key] ?? name}: ${describeIssue(parsed.error)} (found "${values[key] ?? ""}")`,
    );
  }
  return Object.freeze(parsed.data) as Settings<S>;
}

/**
 * Reads, checks and freezes the configuration.
 *
 * @param path of the file; undefined = defaults and environment only.
 * @throws ConfigError with a sentence that names the file and line.
 */
export function loadConfig(path: string | undefined, env: NodeJS.ProcessEnv): Config {
  let content = "";
  if (path !== undefined) {
    try {
      content = readFileSync(path, "utf8");
    } catch (error) {
      throw new ConfigError(
        `can't read the configuration ${path}: ${error instanceof Error ? error.message : String(error)}`,
      );
    }
  }
  const raw = parseIni(content, path ?? "");
  return Object.freeze({
    storage_manager: readSection("storage_manager", raw, env),
    hsvr_agent: readSection("hsvr_agent", raw, env),
    ssvr_agent: readSection("ssvr_agent", raw, env),
    iscsi: readSection("iscsi", raw, env),
    log: readSection("log", raw, env),
  });
}
