import { VasError } from "../../shared/errors.js";
import type { MirrorState } from "../../shared/methods/manager-methods.js";
import { MemberStatus, XMLRPC_VERSION } from "../../shared/states.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { createXmlRpcServer, type XmlRpcServer } from "../../shared/xmlrpc/server.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../shared/xmlrpc/value.js";

interface MirrorRow {
  version: number;
  readonly members: Map<number, MemberStatus>;
}
export interface Report {
  readonly method: string;
  readonly mirrorid: number;
  readonly dextid: number;
  readonly version: number;
  /** `ok`, or the name of the error that was answered. */
  readonly answer: string;
}

interface SnapshotReport {
  readonly lvolid: number;
  readonly reason: string;
}

/** The manager's decisions about member reports, over XML-RPC, with its state in memory. */
export class ManagerStub {
  readonly mirrors = new Map<number, MirrorRow>();
  readonly reports: Report[] = [];
  /** Snapshots by id: whether they are listed as valid. */
  readonly snapshots = new Map<number, boolean>();
  readonly snapshotReports: SnapshotReport[] = [];
  /** Awaited before a report of a member is decided. */
  beforeReport: () => Promise<void> = () => Promise.resolve();
  /** Called when a report of a member was accepted; what it throws is answered instead. */
  onAccepted: (report: Report) => void = () => undefined;
  /** Awaited before a failed snapshot is recorded. */
  beforeSnapshotReport: () => Promise<void> = () => Promise.resolve();
  /** Awaited before a member that is reported in sync is recorded as such. */
  beforeInSyncReport: () => Promise<void> = () => Promise.resolve();
  epoch = 1;
  isOpen = true;
  /** Calls fail as if they did not get here. */
  isAway = false;
  port = 0;
  #server: XmlRpcServer | undefined;

  async start(): Promise<void> {
    this.#server = createXmlRpcServer({
      dispatch: async (method, params) => {
        const asked = params[0] as XmlRpcStruct;
        if (this.isAway) throw faultOf(new VasError("EHOSTDOWN", "the manager is away"));
        if (method === "reportMemberInSync") await this.beforeInSyncReport();
        if (method !== "reportSnapshotFailure") {
          await this.beforeReport();
          return this.#dispatch(method, asked);
        }
        await this.beforeSnapshotReport();
        return this.#snapshotFailed(asked);
      },
      maxBodyBytes: 1_000_000,
      maxHeldBytes: 64_000_000,
      maxConnections: 100,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 10_000,
      keepAliveTimeoutMs: 10_000,
      onDefect: (error, method) => process.stderr.write(`manager stub: ${method}: ${String(error)}\n`),
    });
    this.port = (await this.#server.listen("127.0.0.1", this.port)).port;
  }

  async stop(): Promise<void> {
    await this.#server?.close(0);
    this.#server = undefined;
  }

  statusOf(mirrorid: number, dextid: number): MemberStatus | undefined {
    return this.mirrors.get(mirrorid)?.members.get(dextid);
  }

  insync(mirrorid: number): number[] {
    const members = this.mirrors.get(mirrorid)?.members ?? new Map<number, MemberStatus>();
    return [...members].filter(([, status]) => status === MemberStatus.INSYNC).map(([dextid]) => dextid);
  }

  #snapshotFailed({ epoch, snapshot_lvolid, reason }: XmlRpcStruct): XmlRpcValue {
    if (!this.isOpen || epoch !== this.epoch) throw faultOf(new VasError("ESTALE", "the epoch is closed"));
    const lvolid = Number(snapshot_lvolid);
    this.snapshotReports.push({ lvolid, reason: String(reason) });
    if (!this.snapshots.has(lvolid)) throw faultOf(new VasError("ENOENT", "no such snapshot"));
    this.snapshots.set(lvolid, false);
    return 0;
  }

  #dispatch(method: string, params: XmlRpcStruct): XmlRpcValue {
    const { mirrorid, dextid, version } = params as unknown as Report;
    const note = (answer: string) => this.reports.push({ method, mirrorid, dextid, version, answer });
    try {
      const answer = this.#decide(method, params);
      note("ok");
      this.onAccepted({ method, mirrorid, dextid, version, answer: "ok" });
      return answer as unknown as XmlRpcValue;
    } catch (error) {
      if (!(error instanceof VasError)) throw error;
      note(error.errno);
      throw faultOf(error);
    }
  }

  #decide(method: string, params: XmlRpcStruct): { version: number } | MirrorState {
    if (params.ver !== XMLRPC_VERSION) throw new VasError("EPROTO", "wrong ver");
    if (!this.isOpen || params.epoch !== this.epoch) throw new VasError("ESTALE", "the epoch is closed");
    const mirror = this.mirrors.get(Number(params.mirrorid));
    if (mirror === undefined) throw new VasError("ENOENT", "no such mirror");
    if (method === "getMirror") {
      // A new process of the same epoch: reports of the one before come too late from now on.
      if (params.starting === true) mirror.version += 1;
      const members = [...mirror.members].map(([dextid, mirror_status]) => ({ dextid, mirror_status }));
      return { version: mirror.version, members };
    }
    const dextid = Number(params.dextid);
    const status = mirror.members.get(dextid);
    if (status === undefined) throw new VasError("ENOENT", "not a member");
    const isPast = params.version !== mirror.version;
    if (method === "reportMemberFailure" && status === MemberStatus.INSYNC) {
      if (isPast) throw new VasError("EAGAIN", "a past version");
      if (this.insync(Number(params.mirrorid)).length === 1)
        throw new VasError("EBUSY", "the last good copy");
      mirror.members.set(dextid, MemberStatus.SPARE);
    } else if (method === "reportMemberInSync") {
      if (isPast) throw new VasError("EAGAIN", "a past version");
      if (status === MemberStatus.FAULTY) throw new VasError("ENOENT", "replaced");
      mirror.members.set(dextid, MemberStatus.INSYNC);
    }
    mirror.version += 1;
    return { version: mirror.version };
  }
}

function faultOf(error: VasError): XmlRpcFault {
  return new XmlRpcFault(error.code, error.message);
}
