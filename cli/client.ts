import { existsSync } from "node:fs";
import { type Config, loadConfig } from "../shared/config.js";
import type { ManagerMethodName, managerMethods } from "../shared/methods/manager-methods.js";
import type { ParamsOf, ResultOf } from "../shared/methods/method.js";
import { XMLRPC_VERSION } from "../shared/states.js";
import {
  XmlRpcTimeoutError,
  XmlRpcTransportError,
  XmlRpcUnreachableError,
} from "../shared/xmlrpc/call-errors.js";
import { createXmlRpcClient } from "../shared/xmlrpc/client.js";
import { XmlRpcEncodeError } from "../shared/xmlrpc/encode-error.js";
import type { XmlRpcStruct, XmlRpcValue } from "../shared/xmlrpc/value.js";

/** Longer than an attach may take, so that the manager's own answer comes first. */
const TIMEOUT_MS = 90_000;
/** A list of all volumes of a very large cluster. */
const MAX_RESPONSE_BYTES = 256 * 1024 * 1024;
const DEFAULT_PORT = 8881;
/** What a local cluster leaves for its clients. */
const LOCAL_CONF = ".vastsky/vas.conf";
/** Where an installation has its configuration. */
const INSTALLED_CONF = "/etc/vas.conf";

export interface ManagerClient {
  call<M extends ManagerMethodName>(
    method: M,
    params: ParamsOf<(typeof managerMethods)[M]>,
  ): Promise<ResultOf<(typeof managerMethods)[M]>>;
  /** Any method with any members; `ver` is added unless it is given. */
  callRaw(method: string, members: XmlRpcStruct): Promise<XmlRpcValue>;
}

/** A failure that the person can do something about: shown as it is, without a stack trace. */
export class CliError extends Error {
  override readonly name = "CliError";
}

export interface ManagerAddress {
  readonly host: string;
  readonly port: number;
}

function parseAddress(text: string): ManagerAddress {
  const [, host, port] = /^(?:\[?([^\]]+?)\]?)(?::(\d{1,5}))?$/.exec(text) ?? [];
  const number = port === undefined ? DEFAULT_PORT : Number(port);
  if (host === undefined || number < 1 || number > 65_535) {
    throw new CliError(`"${text}" is not HOST or HOST:PORT`);
  }
  return { host, port: number };
}

/**
 * Where the manager is: `--manager`, else VAS_MANAGER, else the configuration that `--config` names, else that of a
 * local cluster in this folder, else that of an installation, else the default port on this machine.
 */
export function findManager(
  options: { readonly manager?: string; readonly config?: string },
  environment: NodeJS.ProcessEnv,
  usual: readonly string[] = [LOCAL_CONF, INSTALLED_CONF],
): readonly ManagerAddress[] {
  const named = options.manager ?? environment.VAS_MANAGER;
  if (named !== undefined && named !== "") return [parseAddress(named)];
  const { host_list, port } = findConfig(options, environment, usual).storage_manager;
  return host_list.map((host) => ({ host, port }));
}

/** The configuration that `--config` names, else the first that is there, else the defaults. @throws ConfigError */
export function findConfig(
  options: { readonly config?: string },
  environment: NodeJS.ProcessEnv,
  usual: readonly string[] = [LOCAL_CONF, INSTALLED_CONF],
): Config {
  return loadConfig(options.config ?? usual.find((file) => existsSync(file)), environment);
}

/** What a person can do about a call that brought no answer of the manager. */
function explain(error: unknown): unknown {
  if (error instanceof XmlRpcUnreachableError) {
    const advice =
      'Start a local cluster with "npm start", or name the manager with --manager HOST:PORT or VAS_MANAGER.';
    return new CliError(`${error.message} ${advice}`, { cause: error });
  }
  if (error instanceof XmlRpcTimeoutError || error instanceof XmlRpcTransportError) {
    return new CliError(`${error.message} It may have been done nevertheless: look at "vas status".`, {
      cause: error,
    });
  }
  if (error instanceof XmlRpcEncodeError) return new CliError(error.message, { cause: error });
  return error;
}

/** A client that sends `ver` and knows the types of the answers. Faults of the manager come as XmlRpcFault. */
export function createManagerClient(addresses: readonly ManagerAddress[]): ManagerClient {
  const rpc = createXmlRpcClient({ addresses, timeoutMs: TIMEOUT_MS, maxResponseBytes: MAX_RESPONSE_BYTES });
  const callRaw = (method: string, members: XmlRpcStruct): Promise<XmlRpcValue> =>
    rpc.call(method, { ver: XMLRPC_VERSION, ...members }).catch((error) => Promise.reject(explain(error)));
  return {
    call: async (method, params) => (await callRaw(method, params as XmlRpcStruct)) as never,
    callRaw,
  };
}
