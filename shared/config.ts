import { z } from "zod";
import { ConfigError, type RawConfig, readConfigFile } from "./config-file.js";
import { describeIssue } from "./wire-types.js";

export { ConfigError } from "./config-file.js";

/**
 * `vas.conf`: INI sections and keys as Vastsky installations have them, ours beside them. A key is overridden by the
 * environment variable `VAS_<SECTION>_<KEY>` in capitals. Durations are in seconds, sizes in GB. docs/configuration.md is
 * generated from the descriptions.
 */

const text = z.string();

/** A number in a range, read from its text; an empty text is none. The unit is for the docs. */
function numeric(shape: RegExp, error: string, [least, most]: readonly [number, number], unit: string) {
  const inRange = z.number().min(least, { error }).max(most, { error });
  return text.regex(shape, { error }).transform(Number).pipe(inRange).meta({ unit });
}
const WHOLE = /^-?[0-9]{1,10}$/;
const SECONDS = /^-?[0-9]{1,10}(?:\.[0-9]+)?$/;

const seconds = numeric(
  SECONDS,
  "must be a number of seconds, 0.01 to 31536000",
  [0.01, 31_536_000],
  "seconds",
);
const count = numeric(WHOLE, "must be a whole number, 0 to 1048576", [0, 1_048_576], "");
const positive = numeric(WHOLE, "must be a whole number, 1 to 1048576", [1, 1_048_576], "");
/** Something that is done from time to time, or never. */
const period = numeric(WHOLE, "must be a whole number of seconds, 0 to 31536000", [0, 31_536_000], "seconds");
/** No shorter than what a caller may wait for the end of its job. */
const retention = numeric(
  SECONDS,
  "must be a number of seconds, 60 to 31536000",
  [60, 31_536_000],
  "seconds",
);
const kept = numeric(WHOLE, "must be a whole number, 1000 to 1048576", [1_000, 1_048_576], "");
const port = numeric(WHOLE, "must be a port number, 1 to 65535", [1, 65_535], "");
const flag = z
  .enum(["true", "false"], { error: "must be true or false" })
  .transform((value) => value === "true");
const words = text.transform((value) => value.split(/[\s,]+/).filter((word) => word !== ""));
const hosts = words.refine((list) => list.length >= 1, { error: "must name at least one address" });
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
  .transform((list) => [...new Set(list)].sort((a, b) => b - a))
  .meta({ unit: "GB" });
const iqnPrefix = text
  .regex(/^(?:iqn\.)?[0-9]{4}-[0-9]{2}\.[^\s]+$/, { error: "must be like iqn.2010-10.com.example" })
  .transform((value) => (value.startsWith("iqn.") ? value : `iqn.${value}`));

const dataPlane = z.enum(["nbd", "kernel"], { error: 'must be "nbd" or "kernel"' }).default("nbd");

export const sections = {
  storage_manager: z.object({
    host_list: hosts
      .default(["127.0.0.1"])
      .describe("addresses at which agents and clients find the manager, tried in order"),
    port: port.default(8881).describe("port of the manager"),
    listen: text
      .default("")
      .describe(
        "address that the manager listens on; empty = the one of host_list that is this machine's, else 127.0.0.1",
      ),
    database: text.default("/var/lib/vas/manager.db").describe("file of the manager's database"),
    extent_sizes_gb: sizes
      .default([10, 1])
      .describe("sizes of the pieces that volumes are cut into, 1 among them"),
    attach_timeout: seconds.default(60).describe("how long an attach may take"),
    detach_timeout: seconds.default(60).describe("how long a detach may take"),
    agent_timeout: seconds.default(10).describe("deadline of one call to an agent or to the manager"),
    server_check_interval: seconds.default(30).describe("period of the check that all servers answer"),
    server_check_retry: seconds
      .default(10)
      .describe("pause before a server that did not answer is asked once more"),
    replace_after: seconds
      .default(600)
      .describe("how long a silent server may stay away before its members are replaced elsewhere"),
    max_silent_servers: count
      .default(0)
      .describe(
        "with this many storage servers silent nothing is replaced automatically; 0 = half of them, rounded up",
      ),
    maintenance_delay: seconds
      .default(10)
      .describe(
        "how long a volume is detached before a head server brings its copies in sync, if they are not; a user's attach ends that at once",
      ),
    reconcile_interval: seconds
      .default(5)
      .describe("period of the reconcilers, which also run at each event"),
    max_retry_pause: seconds.default(60).describe("longest pause between two attempts of a job"),
    max_resync_tasks: positive.default(16).describe("resyncs at once in the cluster"),
    max_shred_tasks: positive.default(72).describe("shreds at once in the cluster"),
    max_shred_tasks_per_server: positive.default(20).describe("shreds at once on one storage server"),
    shred_slice_gb: positive
      .default(64)
      .meta({ description: "a new disk becomes usable in steps of this size", unit: "GB" }),
    cancel_hold: seconds
      .default(3_600)
      .describe("how long a resync that a person cancelled is not begun again by itself"),
    compare_interval: period
      .default(2_419_200)
      .describe("the copies of attached volumes are compared with each other so often; 0 = never"),
    event_retention: retention
      .default(604_800)
      .describe("how long what happened can be looked at: events, and jobs that have ended"),
    max_events: kept
      .default(100_000)
      .describe(
        "the newest so many events, and so many jobs that have ended, are kept; older ones go before their time",
      ),
  }),
  hsvr_agent: z.object({
    port: port.default(8882).describe("port of the head server's agent"),
    listen: addresses
      .default([])
      .describe(
        "addresses of this head server on the data network, one or two; the agent listens on each. Empty = what the names HOSTNAME-data1 and HOSTNAME-data2 stand for, else 127.0.0.1",
      ),
    state_dir: text.default("/var/lib/vas/head").describe("folder of the agent's durable state"),
    run_dir: text.default("/run/vas").describe("where the volumes' sockets are"),
    nbd_listen: text.default("").describe("address of the TCP exports of volumes; empty = Unix sockets only"),
    member_timeout: seconds
      .default(10)
      .describe("a member that does not answer for this long is reported as failed"),
    snapshot_timeout: seconds
      .default(30)
      .describe(
        "a snapshot whose space can't be written to for this long is given up, so that its origin goes on",
      ),
    boot_id: text.default("").describe("instead of the machine's boot id, for agents that share a machine"),
    data_plane: dataPlane.describe(
      "how volumes are assembled: nbd by processes that serve them, kernel by Linux's device mapper and md as block devices. All agents of a cluster have the same",
    ),
  }),
  ssvr_agent: z.object({
    port: port.default(8883).describe("port of the storage server's agent"),
    listen: addresses
      .default([])
      .describe(
        "addresses of this storage server on the data network, one or two; the agent listens on each. Empty = what the names HOSTNAME-data1 and HOSTNAME-data2 stand for, else 127.0.0.1",
      ),
    nbd_port: port
      .default(10809)
      .describe("first port of the disk exports: disk number n of this server is at nbd_port + n"),
    state_dir: text.default("/var/lib/vas/storage").describe("folder of the agent's durable state"),
    disks: words.default([]).describe("files or block devices to offer, absolute paths"),
    force: flag
      .default(false)
      .describe(
        "use disks even if they carry data that is not ours, or are labelled as disks that the manager does not know, as those that were deleted. It will be overwritten. Never set it for a manager that was restored from an old backup: it may not know disks with data",
      ),
    zone: text
      .default("")
      .describe("servers of one zone may fail together; copies are put in different ones"),
    boot_id: text.default("").describe("instead of the machine's boot id, for agents that share a machine"),
    scrub_interval: period
      .default(604_800)
      .describe("each disk is read as a whole so often, to find what can't be read any more; 0 = never"),
    scrub_rate_mb: count.default(10).meta({
      description: "what reading a disk to find errors, or to compare copies, may load it with. 0 = no limit",
      unit: "MiB a second",
    }),
    shred_rate_mb: count.default(0).meta({
      description:
        "what zeroing a disk, and reading it back, may load it with; holes count little. 0 = no limit",
      unit: "MiB a second",
    }),
    shred_verify: flag
      .default(false)
      .describe("space that was zeroed is read back before it counts as shredded"),
    data_plane: dataPlane.describe(
      "how disks are exported: nbd by a process for each, kernel by Linux's iSCSI target. All agents of a cluster have the same",
    ),
  }),
  iscsi: z.object({
    iqn_prefix: iqnPrefix
      .default("iqn.2010-10.com.example.vas")
      .describe("prefix of iSCSI names, with or without `iqn.`"),
    port: port.default(3260).describe("port of the iSCSI targets of the storage servers"),
  }),
  log: z.object({
    format: z
      .enum(["json", "pretty"])
      .default("json")
      .describe("lines for machines (json) or for people (pretty)"),
    level: z
      .enum(["trace", "debug", "info", "warn", "error", "fatal"])
      .default("info")
      .describe("what is less important is not logged"),
  }),
} as const;

type SectionName = keyof typeof sections;
type Settings<S extends SectionName> = Readonly<z.infer<(typeof sections)[S]>>;

export interface Config {
  readonly storage_manager: Settings<"storage_manager">;
  readonly hsvr_agent: Settings<"hsvr_agent">;
  readonly ssvr_agent: Settings<"ssvr_agent">;
  readonly iscsi: Settings<"iscsi">;
  readonly log: Settings<"log">;
  /** What the file has and nothing uses, a sentence each: to be logged once. */
  readonly ignored: readonly string[];
}

/** The keys of each section. */
const sectionKeys: ReadonlyMap<string, readonly string[]> = new Map(
  Object.entries(sections).map(([name, section]) => [name, Object.keys(section.shape)]),
);

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
  for (const value of Object.values(parsed.data)) Object.freeze(value);
  return Object.freeze(parsed.data) as Settings<S>;
}

/**
 * Reads, checks and freezes the configuration.
 *
 * @param path of the file; undefined = defaults and environment only.
 * @throws ConfigError with a sentence that names the file and line.
 */
export function loadConfig(path: string | undefined, env: NodeJS.ProcessEnv): Config {
  const { raw, ignored } = readConfigFile(path, sectionKeys);
  return Object.freeze({
    storage_manager: readSection("storage_manager", raw, env),
    hsvr_agent: readSection("hsvr_agent", raw, env),
    ssvr_agent: readSection("ssvr_agent", raw, env),
    iscsi: readSection("iscsi", raw, env),
    log: readSection("log", raw, env),
    ignored,
  });
}
