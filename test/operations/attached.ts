import { beginAttach } from "../../manager/operations/begin-attach.js";
import { createVolume } from "../../manager/operations/create-volume.js";
import { finishAttach } from "../../manager/operations/end-attach.js";
import { readAttachment } from "../../manager/operations/read-attachment.js";
import type { Config } from "../../shared/config.js";
import { linearOf, type SnapshotNode, type VolumeNode } from "../../shared/layout-tree.js";
import { State } from "./state.js";

/** A volume of one mirror with a member on each of three servers, attached to a head server. */
export interface Attached {
  readonly state: State;
  readonly hsvrid: number;
  readonly lvolid: number;
  readonly mirrorid: number;
  readonly dextids: readonly [number, number, number];
}

export async function attachedVolume(
  servers = 3,
  gigabytes = 4,
  settings: Partial<Config["storage_manager"]> = {},
): Promise<Attached> {
  const state = await State.open(settings);
  for (let number = 1; number <= servers; number += 1) await state.addServer(number, gigabytes);
  const hsvrid = await state.addHead(1);
  const lvolid = await state.run(createVolume, { lvolname: "v", capacity: 1, redundancy: 3 });
  const jobid = await state.run(beginAttach, { lvolid, hsvrid });
  await state.claim("attach");
  await state.run(finishAttach, { jobid, lvolid });
  const [mirror] = linearOf(await treeOf(state, lvolid)).components;
  if (mirror === undefined) throw new Error("the volume has no mirror");
  const [a = 0, b = 0, c = 0] = mirror.components.map((extent) => extent.lvolid);
  return { state, hsvrid, lvolid, mirrorid: mirror.lvolid, dextids: [a, b, c] };
}

export async function treeOf(state: State, lvolid: number): Promise<VolumeNode | SnapshotNode> {
  const attachment = await state.run(readAttachment, { lvolid });
  if (attachment === undefined) throw new Error(`there is no volume ${lvolid}`);
  return attachment.tree;
}

/** Status of each member of the volume's only mirror, by extent id. */
export async function statusesOf(state: State, lvolid: number): Promise<Map<number, number>> {
  const [mirror] = linearOf(await treeOf(state, lvolid)).components;
  return new Map(mirror?.components.map((extent) => [extent.lvolid, extent.mirror_status]) ?? []);
}
