import { INTERNAL_ERROR_CODE, REQUEST_ERROR_CODE, VasError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import { faultOf } from "../../shared/methods/faults.js";
import type { Method, ParamsOf, ResultOf } from "../../shared/methods/method.js";
import { parseParams, readStruct } from "../../shared/methods/parse-call.js";
import type { Milliseconds } from "../../shared/units.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { createXmlRpcServer, type ListenAddress } from "../../shared/xmlrpc/server.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../shared/xmlrpc/value.js";
import type { Identity } from "./identity.js";

type Table = Readonly<Record<string, Method>>;

/** One handler for each method of a table. What it throws is the answer: a VasError as such, all else as a defect. */
export type Handlers<T extends Table> = {
  readonly [M in keyof T]: (params: ParamsOf<T[M]>) => Promise<ResultOf<T[M]>>;
};

export interface AgentDoorOptions<T extends Table> {
  readonly methods: T;
  readonly handlers: Handlers<T>;
  readonly identity: Identity;
  readonly log: Log;
}

/** The XML-RPC server of an agent. */
export interface AgentDoor {
  /**
   * Listens on each of the addresses.
   *
   * @param port 0 for a free one, the same for all addresses
   * @throws ListenError with a sentence; then no address is listened on
   */
  listen(addresses: readonly string[], port: number): Promise<readonly ListenAddress[]>;
  close(deadlineMs: Milliseconds): Promise<void>;
}

const MAX_BODY_BYTES = 64 * 1024 * 1024;
const MAX_HELD_BYTES = 4 * MAX_BODY_BYTES;
/** The manager has a few connections; a person with a test client adds some. */
const MAX_CONNECTIONS = 512;

/** Makes the door of an agent: parses calls, admits callers, shapes answers. */
export function createAgentDoor<T extends Table>(options: AgentDoorOptions<T>): AgentDoor {
  const { log } = options;
  const newServer = () =>
    createXmlRpcServer({
      dispatch: (method, params) => dispatch(options, method, params),
      maxBodyBytes: MAX_BODY_BYTES,
      maxHeldBytes: MAX_HELD_BYTES,
      maxConnections: MAX_CONNECTIONS,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 60_000,
      keepAliveTimeoutMs: 60_000,
      onDefect: (error, method) => log.error({ err: error, method }, "a call failed by a defect of ours"),
      onRefused: (reason, from) => log.debug({ from }, `refused a request: ${reason}`),
    });
  const servers: ReturnType<typeof newServer>[] = [];
  const close = async (deadlineMs: Milliseconds): Promise<void> => {
    await Promise.all(servers.splice(0).map((server) => server.close(deadlineMs)));
  };
  return {
    listen: async (addresses, port) => {
      const bound: ListenAddress[] = [];
      try {
        for (const host of addresses) {
          const server = newServer();
          bound.push(await server.listen(host, bound[0]?.port ?? port));
          servers.push(server);
        }
      } catch (error) {
        await close(0);
        throw error;
      }
      return bound;
    },
    close,
  };
}

async function dispatch<T extends Table>(
  { methods, handlers, identity, log }: AgentDoorOptions<T>,
  name: string,
  given: readonly XmlRpcValue[],
): Promise<XmlRpcValue> {
  const method = Object.hasOwn(methods, name) ? methods[name] : undefined;
  if (method === undefined) throw new XmlRpcFault(REQUEST_ERROR_CODE, `there is no method "${name}"`);
  try {
    // `helloWorld` is for anybody, in any form.
    const struct = name === "helloWorld" ? {} : readStruct(name, given);
    await admit(identity, struct);
    const handle = handlers[name] as (params: unknown) => Promise<unknown>;
    return (await handle(parseParams(method, struct))) as XmlRpcValue;
  } catch (error) {
    if (error instanceof VasError) {
      log.info(
        { method: name, ...(error.cause === undefined ? {} : { err: error }) },
        `refused: ${error.message}`,
      );
      throw faultOf(error);
    }
    log.error({ method: name, err: error }, "a call failed by a defect of ours");
    throw new XmlRpcFault(INTERNAL_ERROR_CODE, "a defect of the agent; its log says more", { cause: error });
  }
}

/** Rule R13, before the parameters are looked at: a stranger learns nothing from our answers. */
async function admit(identity: Identity, struct: XmlRpcStruct): Promise<void> {
  const { cluster, serial } = struct;
  const isSerial = typeof serial === "number" && Number.isSafeInteger(serial) && serial >= 0;
  await identity.admit(typeof cluster === "string" ? cluster : undefined, isSerial ? serial : undefined);
}
