import type { AgentAddress } from "../../shared/agent-address.js";
import { VasError } from "../../shared/errors.js";
import type {
  HeadAgentMethodName,
  headAgentMethods,
  StorageAgentMethodName,
  storageAgentMethods,
} from "../../shared/methods/agent-methods.js";
import { errorOf } from "../../shared/methods/faults.js";
import type { ParamsOf, ResultOf, Sent } from "../../shared/methods/method.js";
import { XMLRPC_VERSION } from "../../shared/states.js";
import type { Milliseconds } from "../../shared/units.js";
import { createXmlRpcClient, type XmlRpcClient } from "../../shared/xmlrpc/client.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import type { XmlRpcStruct } from "../../shared/xmlrpc/value.js";

type HeadMethods = typeof headAgentMethods;
type StorageMethods = typeof storageAgentMethods;

/** Which manager calls: agents refuse another cluster's, and one with a lower serial (rule R13). */
export interface Sender {
  readonly cluster: string;
  readonly serial: number;
}

const MAX_RESPONSE_BYTES = 16 * 1024 * 1024;

/**
 * The agents, as the manager sees them. Every call has a deadline, and may be delivered twice without harm.
 *
 * All methods throw VasError: EHOSTDOWN if there was no answer (whether the call ran is then unknown), else what the
 * agent answered.
 */
export class AgentsPort {
  readonly #clients = new Map<string, XmlRpcClient>();

  constructor(
    private readonly sender: Sender,
    private readonly timeoutMs: Milliseconds,
  ) {}

  callHead<M extends HeadAgentMethodName>(
    agent: AgentAddress,
    method: M,
    params: Sent<ParamsOf<HeadMethods[M]>>,
    extraMs: Milliseconds = 0,
  ): Promise<ResultOf<HeadMethods[M]>> {
    return this.#call(agent, method, params as object, extraMs) as Promise<ResultOf<HeadMethods[M]>>;
  }

  callStorage<M extends StorageAgentMethodName>(
    agent: AgentAddress,
    method: M,
    params: Sent<ParamsOf<StorageMethods[M]>>,
    extraMs: Milliseconds = 0,
  ): Promise<ResultOf<StorageMethods[M]>> {
    return this.#call(agent, method, params as object, extraMs) as Promise<ResultOf<StorageMethods[M]>>;
  }

  close(): void {
    for (const client of this.#clients.values()) client.close();
  }

  /** @param extraMs how much longer than usual the agent may take by the method's own nature. */
  async #call(agent: AgentAddress, method: string, params: object, extraMs: Milliseconds): Promise<unknown> {
    const struct = { ...params, ...this.sender, ver: XMLRPC_VERSION } as XmlRpcStruct;
    try {
      return await this.#client(agent).call(method, struct, {
        timeoutMs: this.timeoutMs + extraMs,
        repeatable: true,
      });
    } catch (error) {
      if (!(error instanceof XmlRpcFault)) {
        throw new VasError(
          "EHOSTDOWN",
          `the agent at ${agent.addresses.join(" or ")} port ${agent.port} does not answer`,
          {
            cause: error,
          },
        );
      }
      const answer = errorOf(error);
      throw answer instanceof VasError
        ? answer
        : new VasError("EIO", `${method}: ${answer.message}`, { cause: error });
    }
  }

  #client({ addresses, port }: AgentAddress): XmlRpcClient {
    const key = `${addresses.join(",")}:${port}`;
    const known = this.#clients.get(key);
    if (known !== undefined) return known;
    const client = createXmlRpcClient({
      addresses: addresses.map((host) => ({ host, port })),
      timeoutMs: this.timeoutMs,
      maxResponseBytes: MAX_RESPONSE_BYTES,
    });
    this.#clients.set(key, client);
    return client;
  }
}
