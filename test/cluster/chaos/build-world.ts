import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished } from "vitest";
import { GIB, MIB } from "../../../shared/units.js";
import type { TestCluster } from "../../harness/cluster.js";
import { FaultyDisk } from "../../harness/faulty-disk.js";
import { SmallFileSystem } from "../../harness/full-disk.js";
import { useCluster } from "../../harness/use-cluster.js";
import type { ChaosDisk } from "./disks.js";
import { VolumeUser } from "./user.js";
import { Failures, type World } from "./world.js";

const STORAGE_SERVERS = 5;
const HEADS = 3;
/** Of the storage servers, from the first: their first disk can be made to fail. They cost much of a processor. */
const FAULTY_DISKS = 3;
/** Room for the copies of two disks that are failed for good, and for snapshots; the files are sparse. */
const DISK_GB = 16;

/** Ten volumes: six with two copies, four with three; those with two mirrors have two gigabytes. */
const VOLUMES = Array.from({ length: 10 }, (_, index) => ({
  name: `v${index}`,
  gigabytes: index % 5 === 0 ? 2 : 1,
  redundancy: index < 6 ? 2 : 3,
  hasSnapshots: index % 3 === 0,
}));

/**
 * Five storage servers with two disks each, three heads and ten volumes, all in network namespaces of their own. Some
 * disks can be made to fail; the second one of the last server, and its agent's state, are in a file system that can be
 * made full, and so is the manager's database.
 */
export async function buildWorld(seed: number, note: (text: string) => void): Promise<World> {
  const managerSpace = new SmallFileSystem(256 * MIB);
  const space = new SmallFileSystem(8 * GIB);
  const faulty: FaultyDisk[] = [];
  for (let count = 0; count < FAULTY_DISKS; count += 1) faulty.push(await FaultyDisk.create(DISK_GB));
  const last = `storage-${STORAGE_SERVERS}`;
  const cluster = await useCluster(
    {
      storageServers: STORAGE_SERVERS,
      headServers: HEADS,
      diskGb: DISK_GB,
      network: "namespaces",
      disks: (folder) => layDisks(folder, faulty, space),
      manager: {
        replace_after: 6,
        attach_timeout: 15,
        detach_timeout: 6,
        // Longer than the 4 s after which a storage agent kills an export that does not obey.
        agent_timeout: 5,
        // nbdfuse makes holes of less than 4 GiB.
        shred_slice_gb: 2,
        database: join(managerSpace.folder, "manager.db"),
      },
      head: { snapshot_timeout: 20 },
    },
    ({ storage }) => putStateOn(storage.find(({ plan }) => plan.name === last)?.plan.folder ?? "", space),
  );
  // Whoever waits for a disk that hangs can't be ended.
  onTestFinished(() => {
    for (const disk of faulty) disk.heal();
  });
  const failures = new Failures(cluster);
  const users: VolumeUser[] = [];
  for (const volume of VOLUMES)
    users.push(await createUser(cluster, { ...volume, seed, note, mayFail: failures.mayBe }));
  const disks = cluster.storage.flatMap((server): ChaosDisk[] =>
    server.plan.disks.map((path, index) => ({
      server,
      number: index + 1,
      path,
      faulty: faulty.find((disk) => disk.path === path),
    })),
  );
  const server = cluster.storage[STORAGE_SERVERS - 1];
  if (server === undefined) throw new Error("there is no last storage server");
  return {
    cluster,
    users,
    disks,
    managerSpace,
    storageSpace: { server, space },
    busy: new Set(),
    note,
    failures,
  };
}

function layDisks(folder: string, faulty: readonly FaultyDisk[], space: SmallFileSystem) {
  const layout = Array.from({ length: STORAGE_SERVERS }, (_, index): [string, string[]] => {
    const own = join(folder, `storage-${index + 1}`);
    const second = join(index === STORAGE_SERVERS - 1 ? space.folder : own, "disk-2.img");
    return [`storage-${index + 1}`, [faulty[index]?.path ?? join(own, "disk-1.img"), second]];
  });
  return Object.fromEntries(layout);
}

/** The agent's state is where its disk is. */
function putStateOn(folder: string, space: SmallFileSystem): void {
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(space.folder, "state"));
  symlinkSync(join(space.folder, "state"), join(folder, "state"));
}

type NewUser = (typeof VOLUMES)[number] & {
  readonly seed: number;
  readonly note: (text: string) => void;
  readonly mayFail: () => boolean;
};

async function createUser(cluster: TestCluster, { redundancy, ...volume }: NewUser): Promise<VolumeUser> {
  const { name: lvolname, gigabytes: capacity } = volume;
  const lvolid = await cluster.api("createLogicalVolume", { lvolname, capacity, redundancy });
  return new VolumeUser({ ...volume, cluster, lvolid });
}
