import { showVolume } from "../../../shared/ids.js";
import { NbdErrno } from "../../common/nbd/protocol.js";
import {
  createNbdServer,
  type NbdReply,
  type NbdRequest,
  type NbdServer,
  type NbdSession,
} from "../../common/nbd/server.js";
import type { VolumeSpec } from "./spec.js";
import type { Volume } from "./volume.js";

const MAX_CLIENTS = 64;

/** The NBD server of a volume. */
export interface VolumeServer {
  readonly nbd: NbdServer;
  /** Refuses new clients from now on. */
  refuse(): void;
  /**
   * Answers everything that is under way, and whatever may still come, with ESHUTDOWN. The connections to the disks have to
   * end in the same turn of the event loop: the payloads of answered writes are not kept any longer.
   */
  fence(): void;
}

export function createVolumeServer(spec: VolumeSpec, volume: Volume): VolumeServer {
  const { lvolstruct } = spec;
  const names = ["", lvolstruct.lvolspec.lvolname, showVolume(lvolstruct.lvolid)];
  const underWay = new Set<NbdReply>();
  let isRefusing = false;
  let isFenced = false;
  const request = (asked: NbdRequest, reply: NbdReply): void => {
    if (isFenced) {
      reply(NbdErrno.ESHUTDOWN);
      return;
    }
    underWay.add(reply);
    dispatch(volume, asked, (errno, data) => {
      // Not there any more: it was answered by the fence, after which nothing may be acknowledged.
      if (underWay.delete(reply)) reply(errno, data);
    });
  };
  const session: NbdSession = { request, closed: () => undefined };
  const info = {
    size: volume.linear.size,
    description: lvolstruct.lvolspec.lvolname,
    readOnly: false,
    canFlush: true,
    canFua: true,
    canTrim: true,
    canZero: true,
    multiConn: true, // a flush covers every disk, whoever wrote
  };
  const nbd = createNbdServer({
    open: async (name) => {
      if (isRefusing) return { refuse: "shutdown", message: "the volume is being detached" };
      if (!names.includes(name)) return { refuse: "unknown", message: `there is no export "${name}" here` };
      return { info, session };
    },
    list: () => [lvolstruct.lvolspec.lvolname],
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

function dispatch(volume: Volume, request: NbdRequest, done: NbdReply): void {
  const { command, offset, length, fua, payload } = request;
  if (command === "read") {
    volume.linear.read(offset, length, (errno, data) => done(wireErrno(errno), data));
  } else if (command === "flush") {
    volume.flush().then(done, () => done(NbdErrno.EIO));
  } else {
    volume.linear.write(command, offset, length, fua, payload, (errno) => done(wireErrno(errno)));
  }
}

/** Numbers below 0 are ours. */
function wireErrno(errno: number): number {
  return errno < 0 ? NbdErrno.EIO : errno;
}
