import type { Claim } from "./export-name.js";

/** A connection that was admitted under a claim. */
export interface Admitted {
  readonly claim: Claim;
  readonly remote: string;
  /** Ends it; when this returns, no request of it is under way and none will be. */
  close(): void;
}

/**
 * Who is connected, and the highest incarnation of each volume and epoch (rule R3): a volume process that starts or
 * reconnects takes a higher one, and what an older connection still has in its pipes must not land after that.
 *
 * It need not outlive the process: with it all connections end, and the requests in them.
 */
export class Incarnations {
  readonly #highest = new Map<string, number>();
  readonly #admitted = new Set<Admitted>();

  /** Closes the lower incarnations, then lets it in. @returns false if a higher one was admitted before */
  admit(newcomer: Admitted): boolean {
    const { lvolid, epoch, incarnation } = newcomer.claim;
    const key = `${lvolid}/${epoch}`;
    if (incarnation < (this.#highest.get(key) ?? 0)) return false;
    this.#highest.set(key, incarnation);
    this.closeWhere(
      ({ claim }) => claim.lvolid === lvolid && claim.epoch === epoch && claim.incarnation < incarnation,
    );
    this.#admitted.add(newcomer);
    return true;
  }

  left(connection: Admitted): void {
    this.#admitted.delete(connection);
  }

  closeWhere(condition: (connection: Admitted) => boolean): void {
    for (const connection of this.#admitted) {
      if (!condition(connection)) continue;
      this.#admitted.delete(connection);
      connection.close();
    }
  }

  /** Forgets the epochs that are not granted any more: they don't come back. */
  forgetWhere(condition: (lvolid: number, epoch: number) => boolean): void {
    for (const key of this.#highest.keys()) {
      const [lvolid = 0, epoch = 0] = key.split("/").map(Number);
      if (condition(lvolid, epoch)) this.#highest.delete(key);
    }
  }

  list(): (Claim & { readonly remote: string })[] {
    return [...this.#admitted].map(({ claim, remote }) => ({ ...claim, remote }));
  }
}
