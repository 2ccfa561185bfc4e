import { VasError } from "../../shared/errors.js";
import { showStorageServer } from "../../shared/ids.js";
import type { apiMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf } from "../../shared/methods/method.js";
import { Evacuation, FailureTarget, Priority } from "../../shared/states.js";
import { priorityOfServer } from "../domain/evacuation-rules.js";
import { isUp } from "../domain/member-rules.js";
import { recordChange } from "../store/events.js";
import { takeIds } from "../store/sequences.js";
import {
  findStorageServer,
  insertAddresses,
  insertStorageServer,
  serversWithAddress,
  updateStorageServer,
} from "../store/servers.js";
import type { Operation } from "./operation.js";
import { recordServerReturn } from "./record-server-return.js";
import { assertSameServer } from "./same-server.js";

const DEFAULT_PORT = 8883;

/**
 * Registers a storage server, or brings a known one back. Its disks come back when they register themselves.
 *
 * @returns ssvrid
 */
export const registerStorageServer: Operation<
  ParamsOf<typeof apiMethods.registerStorageServer>,
  number
> = async (tx, params, context) => {
  const known = await serversWithAddress(tx, "storage", params.ip_data);
  if (known.length === 0) {
    const [ssvrid = 0] = await takeIds(tx, "ssvr", 1);
    await insertStorageServer(tx, {
      ssvrid,
      priority: Priority.HIGH,
      port: params.port ?? DEFAULT_PORT,
      boot_id: params.boot_id ?? null,
      zone: params.zone ?? "",
      silent: 0,
      lost: 0,
      evacuating: Evacuation.NONE,
    });
    await insertAddresses(tx, "storage", ssvrid, params.ip_data);
    const sentence = `storage server ${showStorageServer(ssvrid)} (${params.ip_data.join(", ")}) is registered`;
    await recordChange(tx, { target: FailureTarget.SSVR, targetid: ssvrid, sentence }, context);
    return ssvrid;
  }

  const ssvrid = await assertSameServer(tx, "storage", known, params.ip_data);
  const server = await findStorageServer(tx, ssvrid);
  if (server === undefined)
    throw new VasError("ENOENT", `there is no storage server ${showStorageServer(ssvrid)}`);
  if (params.boot_id === undefined && isUp(server.priority)) {
    throw new VasError(
      "EEXIST",
      `storage server ${showStorageServer(ssvrid)} is registered and neither OFFLINE nor HALT`,
    );
  }
  // The repeated registration of an agent that has run all along does not undo what a person declared, or shut down.
  // Nor does it prove that a server which does not answer can be reached: the server check finds that out.
  if (!isUp(server.priority) && params.starting === false) return ssvrid;
  const name = `storage server ${showStorageServer(ssvrid)}`;
  const about = { target: FailureTarget.SSVR, targetid: ssvrid, name };
  await recordServerReturn(tx, { ...about, before: server, boot_id: params.boot_id }, context);
  await updateStorageServer(tx, ssvrid, {
    ...(isUp(server.priority) ? {} : { priority: priorityOfServer(server) }),
    port: params.port ?? server.port,
    boot_id: params.boot_id ?? null,
    zone: params.zone ?? server.zone,
    silent: 0,
    lost: 0,
  });
  return ssvrid;
};
