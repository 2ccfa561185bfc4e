import { expect } from "vitest";
import type { TestCluster } from "../../harness/cluster.js";
import { waitUntil } from "../../harness/wait-until.js";

/** Tells if the state that the manager shows is still the one that it was. */
export class Witness {
  #lists = "";
  #whole = "";

  private constructor(readonly cluster: TestCluster) {}

  static async of(cluster: TestCluster): Promise<Witness> {
    const witness = new Witness(cluster);
    await witness.look();
    return witness;
  }

  /** From now on, what is shown now is what must be shown. */
  async look(): Promise<void> {
    this.#lists = await this.#readLists();
    this.#whole = await this.#readWhole();
  }

  /** Good calls are answered, with the lists as they were. */
  async expectLists(after: string): Promise<void> {
    expect(await this.#readLists(), after).toBe(this.#lists);
  }

  /** Everything is as it was, and nothing is under way. */
  async expectWhole(): Promise<void> {
    await waitUntil("no job is left", async () => (await this.cluster.status()).jobs.length === 0);
    expect(await this.#readWhole()).toBe(this.#whole);
  }

  async #readLists(): Promise<string> {
    const { api } = this.cluster;
    const lists = await Promise.all([
      api("listLogicalVolumes", {}),
      api("listHeadServers", {}),
      api("listStorageServers", {}),
      api("listPhysicalDisks", {}),
    ]);
    return JSON.stringify(lists);
  }

  async #readWhole(): Promise<string> {
    const { api } = this.cluster;
    const volumes = await api("listLogicalVolumes", {});
    const trees = await Promise.all(volumes.map(({ lvolid }) => api("showLogicalVolume", { lvolid })));
    const { cluster, serial, capacity, healthy, notices } = await this.cluster.status();
    const identity = await api("identifyCluster", {});
    const status = { cluster, serial, capacity, healthy, notices };
    return JSON.stringify(
      [await this.#readLists(), trees, status, identity, await this.cluster.check()],
      null,
      1,
    );
  }
}
