import { z } from "zod";

/**
 * Keys of the configuration of the original Vastsky that have another name here, or no effect. Each is checked, so that an
 * existing file is used as it is and a mistake in it is still found.
 */
export interface OldKey {
  readonly section: string;
  readonly key: string;
  /** What a value must be. */
  readonly check: z.ZodType<string>;
  /** The section and key that it is another name of; without it the key has no effect. */
  readonly means?: readonly [section: string, key: string];
  /** The value under the other name. */
  readonly translate?: (value: string) => string;
  /** The other name wins if both are given; otherwise that is an error. */
  readonly yields?: boolean;
  /** What it was for, or how it is read here. */
  readonly about: string;
}

const text = z.string();
const number = text.regex(/^[0-9]+(?:\.[0-9]+)?$/, { error: "must be a number" });
const whole = text.regex(/^[0-9]+$/, { error: "must be a whole number" });

const levels: Readonly<Record<string, string>> = {
  CRITICAL: "fatal",
  FATAL: "fatal",
  ERROR: "error",
  WARN: "warn",
  WARNING: "warn",
  INFO: "info",
  DEBUG: "debug",
};
const level = text.refine((value) => Object.hasOwn(levels, value.toUpperCase()), {
  error: `must be one of ${Object.keys(levels).join(", ")}`,
});

/** Space is cut in pieces of 1 GB at last, whatever sizes an installation prefers. */
function withOne(sizes: string): string {
  return sizes.split(/[\s,]+/).includes("1") ? sizes : `${sizes}, 1`;
}

const unused = (section: string, key: string, check: z.ZodType<string>, about: string): OldKey => ({
  section,
  key,
  check,
  about,
});

export const oldKeys: readonly OldKey[] = [
  {
    section: "storage_manager",
    key: "extentsize",
    check: text,
    means: ["storage_manager", "extent_sizes_gb"],
    translate: withOne,
    about: "sizes of extents in GB; 1 is added if it is not among them",
  },
  {
    section: "storage_manager",
    key: "shredder_count",
    check: text,
    means: ["storage_manager", "max_shred_tasks_per_server"],
    about: "extents of a storage server that are zeroed at once",
  },
  unused("storage_manager", "shutdown_cmd", text, "command that switched a server off"),
  unused("storage_manager", "vas_device_dir", text, "folder of the volumes' devices; see `run_dir`"),
  unused("ssvr_agent", "scrub_first_sleep_time", number, "seconds before the first scrub"),
  unused("ssvr_agent", "scrub_extent_size", whole, "MB that were scrubbed at a time"),
  unused("ssvr_agent", "scrub_stripe_size", whole, "MB that were read at a time"),
  unused("ssvr_agent", "scrub_sleep_time", number, "seconds between scrubs"),
  unused("ssvr_agent", "dd_cmd", text, "program that zeroed extents"),
  unused("ssvr_agent", "target_type", text, "kind of iSCSI target; disks are exported over NBD"),
  unused("ssvr_agent", "ietadm_params_lun", text, "options of an iSCSI target"),
  unused("ssvr_agent", "ietadm_params_tid", text, "options of an iSCSI target"),
  unused("ssvr_agent", "tgtadm_params_lun", text, "options of an iSCSI target"),
  unused("syslog", "host", text, "where the log went; ours goes to the standard error output"),
  {
    section: "syslog",
    key: "loglevel",
    check: level,
    means: ["log", "level"],
    translate: (value) => levels[value.toUpperCase()] ?? "info",
    yields: true,
    about: "CRITICAL or FATAL, ERROR, WARN or WARNING, INFO, DEBUG",
  },
];
