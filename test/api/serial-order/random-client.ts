import { Agent, request } from "node:http";
import { errorNameOf } from "../../../shared/errors.js";
import { FailureTarget, XMLRPC_VERSION } from "../../../shared/states.js";
import { decodeResponse } from "../../../shared/xmlrpc/decode-response.js";
import { encodeCall } from "../../../shared/xmlrpc/encode-call.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../../shared/xmlrpc/value.js";

/** A call that a client made, and what it was answered. */
export interface MadeCall {
  readonly method: string;
  readonly params: XmlRpcStruct;
  readonly answer: { readonly value: XmlRpcValue } | { readonly errno: string };
}

/** A client with an address of its own, by which the manager's log tells it from the others. */
export class AddressedClient {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  constructor(
    readonly address: string,
    private readonly manager: string,
    private readonly port: number,
  ) {}

  async call(method: string, params: XmlRpcStruct): Promise<MadeCall["answer"]> {
    const body = await this.#post(encodeCall(method, [{ ver: XMLRPC_VERSION, ...params }]));
    const response = decodeResponse(body);
    if (response.kind === "value") return { value: response.value };
    return { errno: errorNameOf(response.fault.code) ?? String(response.fault.code) };
  }

  close(): void {
    this.#agent.destroy();
  }

  #post(xml: string): Promise<Buffer> {
    return new Promise((resolve, reject) => {
      const options = {
        host: this.manager,
        port: this.port,
        localAddress: this.address,
        method: "POST",
        path: "/",
      };
      const outgoing = request({ ...options, agent: this.#agent, timeout: 240_000 }, (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => resolve(Buffer.concat(chunks)));
        response.on("error", reject);
      });
      outgoing.on("error", reject);
      outgoing.on("timeout", () => outgoing.destroy(new Error("no answer in time")));
      outgoing.end(xml);
    });
  }
}

export type Pick = (bound: number) => number;

const NAMES = 20;
const SNAPSHOT_NAMES = 10;

/** A call that a client may make: names and ids are mostly of things that are there, or were. */
export function randomCall(
  pick: Pick,
  ids: readonly number[],
  heads: number,
): { method: string; params: XmlRpcStruct } {
  const name = (): string => (pick(3) === 0 ? `s${pick(SNAPSHOT_NAMES)}` : `v${pick(NAMES)}`);
  const volume = (): XmlRpcStruct => {
    if (pick(3) > 0 || ids.length === 0) return { lvolname: name() };
    return { lvolid: pick(20) === 0 ? 999_999 : (ids[pick(ids.length)] ?? 1) };
  };
  const roll = pick(100);
  if (roll < 14) {
    const redundancy = pick(3) === 0 ? {} : { redundancy: 2 + pick(2) };
    return {
      method: "createLogicalVolume",
      params: { lvolname: `v${pick(NAMES)}`, capacity: 1 + pick(3), ...redundancy },
    };
  }
  if (roll < 26) return { method: "deleteLogicalVolume", params: volume() };
  if (roll < 38)
    return {
      method: "attachLogicalVolume",
      params: { ...volume(), hsvrid: 1 + pick(heads + (pick(10) === 0 ? 1 : 0)) },
    };
  if (roll < 50) return { method: "detachLogicalVolume", params: volume() };
  if (roll < 60) {
    const { lvolid, lvolname } = volume();
    const origin = lvolid === undefined ? { origin_lvolname: String(lvolname) } : { origin_lvolid: lvolid };
    return { method: "createSnapshot", params: { ...origin, snapshot_lvolname: `s${pick(SNAPSHOT_NAMES)}` } };
  }
  if (roll < 68) return { method: "listLogicalVolumes", params: {} };
  if (roll < 80) return { method: "listLogicalVolumes", params: volume() };
  if (roll < 96) return { method: "showLogicalVolume", params: volume() };
  return { method: "notifyFailure", params: { target: FailureTarget.HSVR, targetid: heads + 1 + pick(50) } };
}
