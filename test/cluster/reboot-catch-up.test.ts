import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { showVolume } from "../../shared/ids.js";
import { GIB, MIB } from "../../shared/units.js";
import { patientHead } from "../harness/cluster.js";
import type { NbdClient } from "../harness/nbd-client.js";
import { randomData, seed } from "../harness/random-data.js";
import { expectSound } from "../harness/sound.js";
import type { TestServer } from "../harness/test-server.js";
import { useCluster } from "../harness/use-cluster.js";
import { createOpened } from "../harness/volumes.js";
import { waitUntil } from "../harness/wait-until.js";

const GIGABYTES = 4;
/** What a bit of the bitmaps stands for. */
const REGION = 16 * MIB;
const CHANGED = GIB;
const DEPTH = 32;

interface Pattern {
  readonly name: string;
  readonly blockBytes: number;
  /** Where blocks are written, each once. */
  readonly offsets: () => number[];
}

const patterns: readonly Pattern[] = [
  { name: "random writes of 4 KiB", blockBytes: 4096, offsets: () => randomOffsets(4096) },
  {
    name: "sequential writes of 1 MiB",
    blockBytes: MIB,
    offsets: () => Array.from({ length: CHANGED / MIB }, (_, index) => index * MIB),
  },
];

/** Different ones, in random order. */
function randomOffsets(blockBytes: number): number[] {
  const blocks = (GIGABYTES * GIB) / blockBytes;
  const chosen = new Set<number>();
  for (let round = 0; chosen.size < CHANGED / blockBytes; round += 1) {
    const numbers = randomData(`offsets ${round}`, 4 * MIB);
    for (let at = 0; at < numbers.length && chosen.size < CHANGED / blockBytes; at += 4)
      chosen.add(numbers.readUInt32LE(at) % blocks);
  }
  return [...chosen].map((block) => block * blockBytes);
}

async function writeBlocks(client: NbdClient, offsets: readonly number[], blockBytes: number): Promise<void> {
  const data = randomData("data", blockBytes);
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let at = next++; at < offsets.length; at = next++) await client.write(offsets[at] ?? 0, data);
  };
  await Promise.all(Array.from({ length: DEPTH }, worker));
}

/** What the volume's process has copied to members, as it says in its log: in chunks of 1 MiB. */
function copiedBytes(head: TestServer, lvolid: number): number {
  const log = join(String(head.plan.conf.hsvr_agent?.state_dir), "volumes", `${showVolume(lvolid)}.log`);
  const copies = readFileSync(log, "utf8").matchAll(/copying to member \d+[^[]*?chunks: (\d+)/g);
  return [...copies].reduce((sum, [, chunks]) => sum + Number(chunks) * MIB, 0);
}

test.each(patterns)(
  "a storage server that was rebooted while 1 GB changed by $name is given the regions touched, and no more",
  async ({ name, blockBytes, offsets }) => {
    const cluster = await useCluster({
      storageServers: 2,
      diskGb: GIGABYTES,
      manager: { replace_after: 600 },
      head: patientHead,
    });
    const [head, away] = [cluster.heads[0] as TestServer, cluster.storage[1] as TestServer];
    const { lvolid, client } = await createOpened(cluster, {
      name: "data",
      gigabytes: GIGABYTES,
      redundancy: 2,
      head,
    });
    await away.kill();
    const where = offsets();
    await writeBlocks(client, where, blockBytes);
    await client.flush();
    expect(await cluster.api("listLogicalVolumes", { lvolid })).toMatchObject([{ fault: true }]);
    away.up();
    await waitUntil(
      "its copies are in sync",
      async () => {
        const [volume] = await cluster.api("listLogicalVolumes", { lvolid });
        return volume?.fault === false;
      },
      480_000,
    );
    const data = randomData("data", blockBytes);
    await expectSound(
      cluster,
      lvolid,
      client,
      where.slice(0, 2_000).map((offset) => ({ offset, data })),
    );
    const touched = new Set(where.map((offset) => Math.floor(offset / REGION))).size * REGION;
    const copied = copiedBytes(head, lvolid);
    console.log(
      `${name}: ${CHANGED / MIB} MiB changed in regions of ${touched / MIB} MiB, ${copied / MIB} MiB copied (VAS_SEED=${seed})`,
    );
    expect(copied).toBeGreaterThanOrEqual(CHANGED);
    expect(copied).toBeLessThanOrEqual(touched);
  },
  1_200_000,
);
