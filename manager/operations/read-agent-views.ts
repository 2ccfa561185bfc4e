import type { AgentAddress } from "../../shared/agent-address.js";
import { showHeadServer, showStorageServer } from "../../shared/ids.js";
import { priorityName } from "../../shared/states.js";
import type { StorageView } from "../domain/compare-holdings.js";
import type { HeadView } from "../domain/compare-running.js";
import { isUp } from "../domain/member-rules.js";
import { readHeadView, readStorageView } from "../store/agent-views.js";
import { addressesByServer, allHeadServers, allStorageServers, type ServerKind } from "../store/servers.js";
import type { Operation } from "./operation.js";

/** A server whose agent may be asked. */
export interface AskableServer {
  readonly kind: ServerKind;
  readonly id: number;
  /** As in `storage server ssvr-00000001`. */
  readonly name: string;
  readonly agent: AgentAddress;
  /** Why it is not to be asked, as far as the manager knows; undefined if it can be. */
  readonly out: string | undefined;
}

/** All servers, storage servers first. */
export const listAskable: Operation<Record<string, never>, AskableServer[]> = async (tx) => {
  const storage = await addressesByServer(tx, "storage");
  const heads = await addressesByServer(tx, "head");
  const outOf = (priority: Parameters<typeof isUp>[0]): string | undefined =>
    isUp(priority) ? undefined : `it is ${priorityName(priority)}`;
  return [
    ...(await allStorageServers(tx)).map(({ ssvrid: id, port, priority }) => ({
      kind: "storage" as const,
      id,
      name: `storage server ${showStorageServer(id)}`,
      agent: { addresses: storage.get(id) ?? [], port },
      out: outOf(priority),
    })),
    ...(await allHeadServers(tx)).map(({ hsvrid: id, port, priority }) => ({
      kind: "head" as const,
      id,
      name: `head server ${showHeadServer(id)}`,
      agent: { addresses: heads.get(id) ?? [], port },
      out: outOf(priority),
    })),
  ];
};

/** What a storage server's answer is compared with. */
export const readStorage: Operation<
  { readonly ssvrid: number; readonly lvolids: readonly number[]; readonly pdskids: readonly number[] },
  StorageView
> = async (tx, { ssvrid, ...named }) => readStorageView(tx, ssvrid, named);

/** What a head server's answer is compared with. */
export const readHead: Operation<
  { readonly hsvrid: number; readonly lvolids: readonly number[] },
  HeadView
> = async (tx, { hsvrid, lvolids }) => readHeadView(tx, hsvrid, lvolids);
