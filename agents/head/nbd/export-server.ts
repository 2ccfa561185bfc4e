import { NbdErrno } from "../../common/nbd/protocol.js";
import {
  createNbdServer,
  type NbdExportInfo,
  type NbdReply,
  type NbdRequest,
  type NbdServer,
  type NbdSession,
} from "../../common/nbd/server.js";

const MAX_CLIENTS = 64;

/** What is served: a volume or a snapshot. */
export interface ServedExport {
  /** The names that a client may ask for it by; the first one is told to those who ask for a list. */
  readonly names: readonly string[];
  readonly info: NbdExportInfo;
  /** Answers a request once. An errno below 0 is one of ours, and becomes EIO. */
  readonly request: (request: NbdRequest, done: NbdReply) => void;
}

/** The NBD server of a volume or snapshot. */
export interface ExportServer {
  readonly nbd: NbdServer;
  /** Refuses new clients from now on. */
  refuse(): void;
  /**
   * Answers everything that is under way, and whatever may still come, with ESHUTDOWN. The connections to the disks have to
   * end in the same turn of the event loop: the payloads of answered writes are not kept any longer.
   */
  fence(): void;
}

export function createExportServer({ names, info, request: serve }: ServedExport): ExportServer {
  const underWay = new Set<NbdReply>();
  let isRefusing = false;
  let isFenced = false;
  const request = (asked: NbdRequest, reply: NbdReply): void => {
    if (isFenced) {
      reply(NbdErrno.ESHUTDOWN);
      return;
    }
    underWay.add(reply);
    serve(asked, (errno, data) => {
      // Not there any more: it was answered by the fence, after which nothing may be acknowledged.
      if (underWay.delete(reply)) reply(errno < 0 ? NbdErrno.EIO : errno, data);
    });
  };
  const session: NbdSession = { request, closed: () => undefined };
  const nbd = createNbdServer({
    open: async (name) => {
      if (isRefusing) return { refuse: "shutdown", message: "it is being detached" };
      if (name !== "" && !names.includes(name)) {
        return { refuse: "unknown", message: `there is no export "${name}" here` };
      }
      return { info, session };
    },
    list: () => names.slice(0, 1),
    maxConnections: MAX_CLIENTS,
  });
  return {
    nbd,
    refuse: () => {
      isRefusing = true;
    },
    fence: () => {
      isRefusing = true;
      isFenced = true;
      const replies = [...underWay];
      underWay.clear();
      for (const reply of replies) reply(NbdErrno.ESHUTDOWN);
    },
  };
}
