import { showDisk, showVolume } from "../../shared/ids.js";
import type { Log } from "../../shared/log.js";
import type { storageAgentMethods } from "../../shared/methods/agent-methods.js";
import type { Handlers } from "../common/agent-door.js";
import type { Events } from "../common/events.js";
import { checksumRegions } from "./checksum-regions.js";
import type { DiskReaders } from "./disk-readers.js";
import type { Grants } from "./grants.js";
import type { Inventory } from "./inventory.js";
import { listGenerations, listHoldings } from "./list-holdings.js";
import type { Shredder } from "./shred.js";

export interface StorageMethodsOptions {
  readonly inventory: Pick<Inventory, "states">;
  readonly grants: Grants;
  readonly shredder: Shredder;
  readonly readers: DiskReaders;
  readonly events: Events;
  readonly log: Log;
}

/** What a storage agent does when it is called. */
export function createStorageMethods(options: StorageMethodsOptions): Handlers<typeof storageAgentMethods> {
  const { inventory, grants, shredder, readers, events, log } = options;
  return {
    helloWorld: async () => 0,
    getEventStatus: async ({ eventid }) => events.tell(eventid),
    waitEvent: ({ eventid, timeout_ms }) => events.wait(eventid, timeout_ms),
    grantExtents: async ({ lvolid, epoch, hsvrid, version, extents, chap }) => {
      await grants.grant({ lvolid, epoch, hsvrid, version, extents, chap });
      log.info({ hsvrid }, `granted ${extents.length} extents to epoch ${epoch} of ${showVolume(lvolid)}`);
      return 0;
    },
    revokeEpoch: async ({ lvolid, epoch }) => {
      await grants.revoke(lvolid, epoch);
      log.info(`closed epoch ${epoch} of ${showVolume(lvolid)}`);
      return 0;
    },
    listHoldings: async ({ after }) => listHoldings(inventory, grants, after),
    listGenerations: async ({ after_pdskid, after_offset }) =>
      listGenerations(grants, { pdskid: after_pdskid ?? 0, offset: after_offset ?? -1 }),
    registerShredRequest: async ({ eventid, pdskid, offset, capacity, generation }) => {
      const place = { pdskid, offset, capacity };
      // Callers of the original protocol know of no generations: theirs is the present one.
      const target = { ...place, generation: generation ?? grants.newestGeneration(place) };
      const subject = `shred ${showDisk(pdskid)} ${offset}+${capacity} generation ${target.generation}`;
      if (events.knows(eventid, subject)) return 0;
      const job = await shredder.begin(target);
      events.start(eventid, subject, ({ progress }) => {
        job.onProgress(progress);
        return job.done;
      });
      return 0;
    },
    getShredStatus: async ({ pdskid, offset, capacity, generation }) =>
      shredder.status({ pdskid, offset, capacity, generation }),
    checksumRegions: ({ pdskid, offset, capacity, generation, from, count }) =>
      checksumRegions({ extent: { pdskid, offset, capacity, generation }, from, count }, grants, readers),
  };
}
