import { errorOf } from "../../shared/methods/faults.js";
import type { ManagerMethodName, managerMethods } from "../../shared/methods/manager-methods.js";
import type { ParamsOf, ResultOf } from "../../shared/methods/method.js";
import { XMLRPC_VERSION } from "../../shared/states.js";
import type { Milliseconds } from "../../shared/units.js";
import { createXmlRpcClient, type XmlRpcCallOptions } from "../../shared/xmlrpc/client.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import type { XmlRpcStruct } from "../../shared/xmlrpc/value.js";

type Methods = typeof managerMethods;

/** The manager, as an agent calls it. All that agents call may be delivered twice without harm. */
export interface ManagerClient {
  /**
   * @throws VasError if the manager refuses the call
   * @throws XmlRpcUnreachableError, XmlRpcTimeoutError, XmlRpcTransportError if there is no answer
   */
  call<M extends ManagerMethodName>(
    method: M,
    params: ParamsOf<Methods[M]>,
    options?: Pick<XmlRpcCallOptions, "timeoutMs" | "signal">,
  ): Promise<ResultOf<Methods[M]>>;
  close(): void;
}

export interface ManagerClientOptions {
  /** Addresses of the manager, in the order in which they are tried. */
  readonly managers: readonly { readonly host: string; readonly port: number }[];
  /** For a whole call, unless the call gives its own. */
  readonly timeoutMs: Milliseconds;
}

const MAX_RESPONSE_BYTES = 64 * 1024 * 1024;

export function createManagerClient(options: ManagerClientOptions): ManagerClient {
  const client = createXmlRpcClient({
    addresses: options.managers,
    timeoutMs: options.timeoutMs,
    maxResponseBytes: MAX_RESPONSE_BYTES,
  });
  return {
    call: async <M extends ManagerMethodName>(
      method: M,
      params: ParamsOf<Methods[M]>,
      callOptions?: Pick<XmlRpcCallOptions, "timeoutMs" | "signal">,
    ) => {
      const struct = { ...params, ver: XMLRPC_VERSION } as XmlRpcStruct;
      try {
        const answer = await client.call(method, struct, { ...callOptions, repeatable: true });
        return answer as ResultOf<Methods[M]>;
      } catch (error) {
        throw error instanceof XmlRpcFault ? errorOf(error) : error;
      }
    },
    close: () => client.close(),
  };
}
