import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formatDisks } from "../../cli/original/format-disks.js";
import { formatLayout } from "../../cli/original/format-layout.js";
import { formatHeadServers, formatStorageServers } from "../../cli/original/format-servers.js";
import { formatVolumes } from "../../cli/original/format-volumes.js";
import { strerror } from "../../cli/original/strerror.js";
import { disks, headServers, layout, snapshotLayout, storageServers, volumes } from "./answers.js";

const folder = new URL("expected/", import.meta.url);

const errnos = [...Array.from({ length: 135 }, (_, index) => index + 1), 9999];

/** What each file of expected output holds. */
const outputs: Readonly<Record<string, readonly string[]>> = {
  lvol_list: formatVolumes(volumes),
  "lvol_list-none": formatVolumes([]),
  ...Object.fromEntries(
    volumes
      .filter(({ lvolname }) => lvolname.length < 20)
      .map((volume) => [`lvol_list-${volume.lvolname}`, formatVolumes([volume])]),
  ),
  lvol_show: formatLayout(layout),
  "lvol_show-snapshot": formatLayout(snapshotLayout),
  pdsk_list: formatDisks(disks),
  "pdsk_list-none": formatDisks([]),
  "pdsk_list-zero": formatDisks(disks.filter(({ capacity }) => capacity === 0)),
  ssvr_list: formatStorageServers(storageServers),
  "ssvr_list-none": formatStorageServers([]),
  hsvr_list: formatHeadServers(headServers),
  "hsvr_list-none": formatHeadServers([]),
  strerror: errnos.map((errno) => `${errno} ${strerror(errno)}`),
};

test("every file of expected output is compared", () => {
  const files = readdirSync(folder).map((name) => name.replace(/\.txt$/, ""));
  expect(Object.keys(outputs).sort()).toEqual(files.sort());
});

test.each(Object.keys(outputs))("%s prints what the original prints", (name) => {
  const expected = readFileSync(new URL(`${name}.txt`, folder), "utf8");
  expect(`${outputs[name]?.join("\n")}\n`).toBe(expected);
});

test("a defect of the manager has a text of its own", () => {
  expect(strerror(500)).toBe("Internal server error");
});
