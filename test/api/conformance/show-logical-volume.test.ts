import { expect, test } from "vitest";
import { showDisk, showVolume } from "../../../shared/ids.js";
import type { SnapshotNode, VolumeNode } from "../../../shared/layout-tree.js";
import { MemberStatus, VolumeType } from "../../../shared/states.js";
import { membersOf, mirrorsOf } from "../../harness/cluster.js";
import { shareCluster } from "../../harness/share-cluster.js";
import { openVolume } from "../../harness/volume-io.js";
import { attach, serverOfFirstMirror } from "../../harness/volumes.js";
import { namesOfNone, waysToName } from "./naming.js";
import { expectNumberForms } from "./number-forms.js";
import { expectRefusals } from "./refusals.js";
import {
  createSmall,
  createSmallAttached,
  createSnapshotOf,
  headOf,
  infoOf,
  patient,
  whileHeld,
} from "./volumes.js";

const cluster = shareCluster({
  storageServers: 3,
  headServers: 1,
  disksPerServer: 2,
  diskGb: 30,
  gate: true,
  manager: patient,
});
const method = "showLogicalVolume";

const show = (lvolid: number): Promise<VolumeNode | SnapshotNode> => cluster().api(method, { lvolid });

test("showLogicalVolume shows a volume by id or by name, and takes the id if both are given", async () => {
  const volume = await createSmall(cluster(), "named");
  const other = await createSmall(cluster(), "other");
  for (const [way, members] of waysToName(volume, other.lvolname)) {
    const { lvolid, lvolspec } = await cluster().api(method, members);
    expect({ lvolid, lvolname: lvolspec.lvolname }, way).toEqual(volume);
  }
  await expectRefusals(cluster(), method, namesOfNone("other"));
});

test("showLogicalVolume takes lvolid in every form of a whole number", async () => {
  const { lvolid: value } = await createSmall(cluster(), "forms");
  const answers = await expectNumberForms(cluster(), { method, member: "lvolid", value, others: () => ({}) });
  for (const answer of answers) expect(answer).toMatchObject({ lvolid: value, lvoltype: VolumeType.LVOL });
});

test("showLogicalVolume shows a volume over a linear over mirrors of 10 and 1 GB over extents", async () => {
  const lvolid = await cluster().api("createLogicalVolume", { lvolname: "tree", capacity: 13 });
  const { ctime } = await infoOf(cluster(), lvolid);
  const node = (lvoltype: number, capacity: number) => ({
    lvolid: expect.any(Number),
    lvoltype,
    capacity,
    mirror_status: MemberStatus.ALLOCATED,
    labels: [],
  });
  const extent = (capacity: number) => ({
    ...node(VolumeType.DEXT, capacity),
    lvolspec: expect.objectContaining({ offset: expect.any(Number) }),
    components: [],
  });
  const mirror = (capacity: number) => ({
    ...node(VolumeType.MIRROR, capacity),
    lvolspec: { version: 1 },
    components: [extent(capacity), extent(capacity), extent(capacity)],
  });
  expect(await show(lvolid)).toEqual({
    ...node(VolumeType.LVOL, 13),
    lvolid,
    labels: ["tree", showVolume(lvolid)],
    lvolspec: { lvolname: "tree", redundancy: 3, assoc: [], ctime },
    components: [
      {
        ...node(VolumeType.LINEAR, 13),
        lvolspec: {},
        components: [mirror(10), mirror(1), mirror(1), mirror(1)],
      },
    ],
  });
});

test("showLogicalVolume tells where each extent is, and how a head reaches it", async () => {
  const lvolid = await cluster().api("createLogicalVolume", { lvolname: "places", capacity: 12 });
  const disks = await cluster().api("listPhysicalDisks", {});
  const tree = await show(lvolid);
  for (const { components } of mirrorsOf(tree)) {
    expect(new Set(components.map(({ lvolspec }) => lvolspec.ssvrid)).size).toBe(3);
    for (const { capacity, lvolspec } of components) {
      const { pdskid, ssvrid, iscsi_path, offset } = lvolspec;
      const disk = disks.find((listed) => listed.pdskid === pdskid);
      expect(disk).toMatchObject({ ssvrid, iscsi_path });
      expect(iscsi_path).toEqual([expect.stringMatching(`^nbd://.*/${showDisk(pdskid)}$`)]);
      expect(offset).toBeGreaterThanOrEqual(0);
      expect(offset + capacity).toBeLessThanOrEqual(disk?.capacity ?? 0);
    }
  }
  const ids = [tree, tree.components[0], ...mirrorsOf(tree), ...membersOf(tree)].map((node) => node.lvolid);
  expect(new Set(ids).size).toBe(ids.length);
});

test("showLogicalVolume shows ALLOCATED before the first attach, and INSYNC from then on", async () => {
  const { lvolid } = await createSmall(cluster(), "attached");
  const statuses = async (): Promise<number[]> => {
    const tree = await show(lvolid);
    return [tree, tree.components[0], ...mirrorsOf(tree), ...membersOf(tree)].map(
      (node) => node.mirror_status,
    );
  };
  expect(new Set(await statuses())).toEqual(new Set([MemberStatus.ALLOCATED]));
  await attach(cluster(), lvolid, headOf(cluster()));
  expect(new Set(await statuses())).toEqual(new Set([MemberStatus.INSYNC]));
  await cluster().api("detachLogicalVolume", { lvolid });
  expect(new Set(await statuses())).toEqual(new Set([MemberStatus.INSYNC]));
});

test("showLogicalVolume shows a SNAPSHOT-ORIGIN above the linear of a volume with snapshots, and these by id", async () => {
  const origin = await createSmall(cluster(), "origin");
  const snapshots = [];
  for (const name of ["origin-z", "origin-a"])
    snapshots.push(await createSnapshotOf(cluster(), origin, name));
  const tree = (await show(origin.lvolid)) as VolumeNode;
  expect(tree).toMatchObject({
    lvolid: origin.lvolid,
    lvoltype: VolumeType.LVOL,
    labels: ["origin", showVolume(origin.lvolid)],
  });
  const [layer] = tree.components;
  expect(tree.components).toHaveLength(1);
  expect(layer).toMatchObject({
    lvoltype: VolumeType.SNAPSHOT_ORIGIN,
    capacity: 1,
    lvolspec: {},
    labels: [],
    components: [{ lvoltype: VolumeType.LINEAR, capacity: 1 }],
  });
  expect(tree.lvolspec.assoc.map(({ lvolid }) => lvolid)).toEqual(snapshots);
  for (const shown of tree.lvolspec.assoc) {
    expect(shown).toEqual(await show(shown.lvolid));
    expect(shown.components[0].lvolspec).toEqual({ origin_lvolid: layer.lvolid });
  }
  for (const lvolid of snapshots) await cluster().api("deleteLogicalVolume", { lvolid });
  const bare = (await show(origin.lvolid)) as VolumeNode;
  expect(bare.lvolspec.assoc).toEqual([]);
  expect(bare.components).toMatchObject([{ lvoltype: VolumeType.LINEAR }]);
});

test("showLogicalVolume shows a snapshot over a SNAPSHOT over the linear of its copy-on-write space", async () => {
  const origin = await createSmall(cluster(), "below");
  const lvolid = await createSnapshotOf(cluster(), origin, "above");
  const { ctime } = await infoOf(cluster(), lvolid);
  const tree = await show(lvolid);
  expect(tree).toMatchObject({
    lvolid,
    lvoltype: VolumeType.LVOL,
    capacity: 2,
    labels: ["above", showVolume(lvolid)],
    lvolspec: { lvolname: "above", redundancy: 2, assoc: [], ctime },
    components: [
      {
        lvoltype: VolumeType.SNAPSHOT,
        capacity: 2,
        labels: [],
        components: [{ lvoltype: VolumeType.LINEAR, capacity: 2, lvolspec: {} }],
      },
    ],
  });
  expect(mirrorsOf(tree).map(({ capacity, components }) => [capacity, components.length])).toEqual([
    [1, 2],
    [1, 2],
  ]);
});

test("showLogicalVolume leaves a snapshot out of its origin that is being deleted, and shows it by itself", async () => {
  const origin = await createSmallAttached(cluster(), "live");
  const lvolid = await createSnapshotOf(cluster(), origin, "live-s");
  const remove = () => cluster().api("deleteLogicalVolume", { lvolid });
  await whileHeld(cluster(), { method: "deleteSnapshot" }, remove, async () => {
    expect((await show(origin.lvolid)).lvolspec.assoc).toEqual([]);
    expect((await show(lvolid)).lvolspec.lvolname).toBe("live-s");
  });
});

test("showLogicalVolume shows a member that missed a write as SPARE, and so its mirror and its volume", async () => {
  const { lvolid } = await createSmallAttached(cluster(), "degraded");
  const before = mirrorsOf(await show(lvolid))[0]?.lvolspec.version ?? 0;
  const { id, server } = await serverOfFirstMirror(cluster(), lvolid);
  const client = await openVolume(headOf(cluster()), "degraded");
  await server.kill();
  await client.write(0, Buffer.alloc(4096, 1));
  const tree = await show(lvolid);
  for (const extent of membersOf(tree)) {
    const status = extent.lvolspec.ssvrid === id ? MemberStatus.SPARE : MemberStatus.INSYNC;
    expect(extent.mirror_status).toBe(status);
  }
  for (const node of [tree, tree.components[0], ...mirrorsOf(tree)])
    expect(node.mirror_status).toBe(MemberStatus.SPARE);
  expect(mirrorsOf(tree)[0]?.lvolspec.version).toBeGreaterThan(before);
});
