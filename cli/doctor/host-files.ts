import { readFileSync } from "node:fs";
import { basename } from "node:path";

/** The compiled file lies one folder deeper than its source. */
const packaging = import.meta.url.endsWith(".ts") ? "../../packaging/kernel/" : "../../../packaging/kernel/";

export const INSTALL_SCRIPT = new URL(`${packaging}install`, import.meta.url).pathname;

/** A file that belongs on a host of the kernel data plane. */
export interface HostFile {
  /** Where it is installed. */
  readonly path: string;
  /** What is to stand in it. */
  readonly text: string;
}

const packaged = (name: string, folder: string): HostFile => ({
  path: `${folder}/${basename(name)}`,
  text: readFileSync(new URL(`${packaging}${name}`, import.meta.url), "utf8"),
});

export const udevRules = (): HostFile[] =>
  ["11-vastsky.rules", "63-vastsky.rules"].map((name) => packaged(`udev/${name}`, "/etc/udev/rules.d"));

export const multipathConf = (): HostFile => packaged("multipath/vastsky.conf", "/etc/multipath/conf.d");

export const modulesFile = (role: "head" | "storage"): HostFile =>
  packaged(`modules-load/vastsky-${role}.conf`, "/etc/modules-load.d");

/** The modules that such a file names. */
export const modulesIn = ({ text }: HostFile): string[] =>
  text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
