import { showHeadServer } from "../../shared/ids.js";
import type { Chap } from "../../shared/methods/agent-methods.js";
import { anyIscsiDisk } from "../store/disks.js";
import { findHeadServer } from "../store/servers.js";
import type { Operation } from "./operation.js";

/** By what storage servers know a head server. @returns undefined if that is not needed: no disk is reached by iSCSI */
export const readChap: Operation<{ readonly hsvrid: number }, Chap | undefined> = async (tx, { hsvrid }) => {
  if (!(await anyIscsiDisk(tx))) return undefined;
  const head = await findHeadServer(tx, hsvrid);
  if (head === undefined || head.chap_secret === "") return undefined;
  return { user: showHeadServer(hsvrid), secret: head.chap_secret };
};
