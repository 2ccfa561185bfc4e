import type { Tx } from "./open-store.js";

/** The cluster's identity: facts of which there is one each. */
export interface ClusterIdentity {
  readonly cluster: string;
  /** Grows by one at each start of a manager; agents refuse a lower one (rule R13). */
  readonly serial: number;
}

async function readMeta(tx: Tx, key: string): Promise<string | undefined> {
  const row = await tx.selectFrom("meta").select("value").where("key", "=", key).executeTakeFirst();
  return row?.value;
}

async function writeMeta(tx: Tx, key: string, value: string): Promise<void> {
  await tx
    .insertInto("meta")
    .values({ key, value })
    .onConflict((conflict) => conflict.column("key").doUpdateSet({ value }))
    .execute();
}

/** Takes the serial of a manager that starts; the first start names the cluster with the id given. */
export async function beginSerial(tx: Tx, newCluster: string): Promise<ClusterIdentity> {
  const cluster = (await readMeta(tx, "cluster")) ?? newCluster;
  const serial = Number((await readMeta(tx, "serial")) ?? "0") + 1;
  await writeMeta(tx, "cluster", cluster);
  await writeMeta(tx, "serial", String(serial));
  return { cluster, serial };
}
