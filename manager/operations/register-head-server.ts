import { randomBytes } from "node:crypto";
import { VasError } from "../../shared/errors.js";
import { showHeadServer } from "../../shared/ids.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { BindEvent, BindStatus, FailureTarget, Priority } from "../../shared/states.js";
import { isUp } from "../domain/member-rules.js";
import { recordChange } from "../store/events.js";
import { takeIds } from "../store/sequences.js";
import {
  findHeadServer,
  insertAddresses,
  insertHeadServer,
  serversWithAddress,
  updateHeadServer,
} from "../store/servers.js";
import { volumesOfHead } from "../store/volumes.js";
import { fenceVolume } from "./fence-volume.js";
import type { Operation } from "./operation.js";
import { recordServerReturn } from "./record-server-return.js";
import { assertSameServer } from "./same-server.js";

const DEFAULT_PORT = 8882;

/** Of 128 bits. */
const newSecret = (): string => randomBytes(16).toString("hex");

/**
 * Registers a head server, or learns that a known one has started: every volume that is bound to it and that it does
 * not run any more is fenced.
 *
 * @returns hsvrid
 */
export const registerHeadServer: Operation<ParamsOf<typeof apiMethods.registerHeadServer>, number> = async (
  tx,
  params,
  context,
) => {
  const known = await serversWithAddress(tx, "head", params.ip_data);
  if (known.length === 0) {
    const [hsvrid = 0] = await takeIds(tx, "hsvr", 1);
    const boot = params.boot_id ?? null;
    await insertHeadServer(tx, {
      hsvrid,
      priority: Priority.HIGH,
      port: params.port ?? DEFAULT_PORT,
      boot_id: boot,
      silent: 0,
      chap_secret: newSecret(),
    });
    await insertAddresses(tx, "head", hsvrid, params.ip_data);
    const sentence = `head server ${showHeadServer(hsvrid)} (${params.ip_data.join(", ")}) is registered`;
    await recordChange(tx, { target: FailureTarget.HSVR, targetid: hsvrid, sentence }, context);
    return hsvrid;
  }

  const hsvrid = await assertSameServer(tx, "head", known, params.ip_data);
  const server = await findHeadServer(tx, hsvrid);
  if (server === undefined) throw new VasError("ENOENT", `there is no head server ${showHeadServer(hsvrid)}`);
  if (params.boot_id === undefined && server.priority === Priority.HIGH) {
    throw new VasError("EEXIST", `head server ${showHeadServer(hsvrid)} is registered and not OFFLINE`);
  }
  // The repeated registration of an agent that has run all along does not undo what a person declared, and a head that
  // does not answer is found again by the server check.
  if (!isUp(server.priority) && params.starting === false) return hsvrid;
  const about = {
    target: FailureTarget.HSVR,
    targetid: hsvrid,
    name: `head server ${showHeadServer(hsvrid)}`,
  };
  await recordServerReturn(tx, { ...about, before: server, boot_id: params.boot_id }, context);
  await updateHeadServer(tx, hsvrid, {
    priority: Priority.HIGH,
    port: params.port ?? server.port,
    boot_id: params.boot_id ?? null,
    silent: 0,
    chap_secret: server.chap_secret === "" ? newSecret() : server.chap_secret,
  });

  // A new boot id and a list without the volume mean the same: its process is gone. An attach under way looks after
  // itself, and so does a detach.
  // An older list than the binding says nothing about it: the call may have been held up on its way.
  const asOf = params.as_of ?? Number.MAX_SAFE_INTEGER;
  const running = new Set((params.running ?? []).map((volume) => `${volume.lvolid}/${volume.epoch}`));
  for (const volume of await volumesOfHead(tx, hsvrid)) {
    const idle = volume.bind_status === BindStatus.BOUND && volume.bind_event === BindEvent.NONE;
    if (!idle || volume.bind_number > asOf || running.has(`${volume.lvolid}/${volume.epoch}`)) continue;
    await fenceVolume(
      tx,
      { volume, reason: `head server ${showHeadServer(hsvrid)} does not run it any more` },
      context,
    );
  }
  return hsvrid;
};
