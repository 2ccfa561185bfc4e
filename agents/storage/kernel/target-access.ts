import { join } from "node:path";
import type { Chap } from "../../../shared/methods/agent-methods.js";
import { setAttributes } from "./configfs.js";

/**
 * Who may log in to a target, for reading and writing: the head server that knows the secret, by whatever initiator's name; without one,
 * everybody. What may be touched is decided below, by the tables of the units.
 *
 * @param folder of the target's portal group
 */
export async function setAccess(folder: string, chap: Chap | undefined): Promise<void> {
  if (chap !== undefined)
    await setAttributes(join(folder, "auth"), { userid: chap.user, password: chap.secret });
  await setAttributes(join(folder, "attrib"), {
    authentication: chap === undefined ? "0" : "1",
    generate_node_acls: "1",
    cache_dynamic_acls: "1",
    demo_mode_write_protect: "0",
  });
}
