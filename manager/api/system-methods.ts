import { setImmediate as nextTurn } from "node:timers/promises";
import { REQUEST_ERROR_CODE, VasError } from "../../shared/errors.js";
import { describeMethod, typeOf } from "../../shared/methods/describe-method.js";
import { faultOf } from "../../shared/methods/faults.js";
import { managerMethods } from "../../shared/methods/manager-methods.js";
import type { Method, ParamsOf } from "../../shared/methods/method.js";
import { parseParams } from "../../shared/methods/parse-call.js";
import {
  describeSystemMethod,
  type SystemMethodName,
  systemMethods,
} from "../../shared/methods/system-methods.js";
import { XmlRpcFault } from "../../shared/xmlrpc/fault.js";
import { isXmlRpcArray, isXmlRpcStruct, type XmlRpcValue } from "../../shared/xmlrpc/value.js";

export interface CallContext {
  /** Runs a call that is part of this one. @throws XmlRpcFault */
  readonly runCall: (name: string, given: readonly XmlRpcValue[]) => Promise<XmlRpcValue>;
  /** Aborted when there is nobody to answer any more. */
  readonly signal: AbortSignal;
}

export function isSystemMethod(name: string): name is SystemMethodName {
  return Object.hasOwn(systemMethods, name);
}

/** What the server says about itself, and several calls in one. @throws VasError */
export async function answerSystemMethod(
  name: SystemMethodName,
  given: readonly XmlRpcValue[],
  context: CallContext,
): Promise<XmlRpcValue> {
  const params = parseParams(systemMethods[name], given);
  switch (name) {
    case "system.listMethods":
      return [...Object.keys(managerMethods), ...Object.keys(systemMethods)].sort();
    case "system.methodHelp":
      return help((params as ParamsOf<(typeof systemMethods)[typeof name]>)[0]);
    case "system.methodSignature":
      return [signature((params as ParamsOf<(typeof systemMethods)[typeof name]>)[0])];
    case "system.multicall":
      return multicall((params as ParamsOf<(typeof systemMethods)[typeof name]>)[0], context);
  }
}

function help(name: string): string {
  if (isSystemMethod(name)) return describeSystemMethod(name);
  return describeMethod(name, find(name));
}

function signature(name: string): string[] {
  if (!isSystemMethod(name)) return [typeOf(find(name).result), "struct"];
  const { params, result } = systemMethods[name];
  return [typeOf(result), ...params.def.items.map((item) => typeOf(item))];
}

/** @throws VasError ENOENT */
function find(name: string): Method {
  const table: Readonly<Record<string, Method>> = managerMethods;
  const method = Object.hasOwn(table, name) ? table[name] : undefined;
  if (method === undefined) throw new VasError("ENOENT", `there is no method "${name}"`);
  return method;
}

type InnerCall = ParamsOf<(typeof systemMethods)["system.multicall"]>[0][number];

/** Values that one system.multicall answers, some hundred bytes each: what its calls return is in memory together. */
const MAX_VALUES = 200_000;

async function multicall(
  calls: readonly InnerCall[],
  { runCall, signal }: CallContext,
): Promise<XmlRpcValue[]> {
  const answers: XmlRpcValue[] = [];
  let values = 0;
  for (const { methodName, params } of calls) {
    // The database answers at once: without this, no other call would come in between.
    await nextTurn();
    try {
      if (methodName === "system.multicall")
        throw new XmlRpcFault(REQUEST_ERROR_CODE, "a system.multicall can't be part of another");
      if (signal.aborted) throw faultOf(new VasError("ECANCELED", "the client has left"));
      if (values > MAX_VALUES)
        throw faultOf(new VasError("EAGAIN", "the answers before this one are too large; call it by itself"));
      const answer = await runCall(methodName, params as XmlRpcValue[]);
      values += countValues(answer);
      answers.push([answer]);
    } catch (error) {
      if (!(error instanceof XmlRpcFault)) throw error;
      answers.push({ faultCode: error.code, faultString: error.faultString });
    }
  }
  return answers;
}

function countValues(value: XmlRpcValue | undefined): number {
  const inner = isXmlRpcStruct(value) ? Object.values(value) : isXmlRpcArray(value) ? value : [];
  return inner.reduce((sum: number, item) => sum + countValues(item), 1);
}
