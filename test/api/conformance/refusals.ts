import { expect } from "vitest";
import type { ErrorName } from "../../../shared/errors.js";
import type { ManagerMethodName } from "../../../shared/methods/manager-methods.js";
import { XMLRPC_VERSION } from "../../../shared/states.js";
import type { XmlRpcStruct } from "../../../shared/xmlrpc/value.js";
import type { TestCluster } from "../../harness/cluster.js";
import { faultOf } from "../../harness/fault-of.js";
import { shownState } from "../../harness/shown-state.js";

/** Members besides `ver`, right or wrong; the errno that they must get; and a word of the sentence. */
export type RefusedRow = readonly [params: XmlRpcStruct, errno: ErrorName, names: string];

/** Each call is refused as its row says, in a sentence that names the culprit, and none has changed anything. */
export async function expectRefusals(
  cluster: TestCluster,
  method: ManagerMethodName,
  rows: readonly RefusedRow[],
): Promise<void> {
  const before = await shownState(cluster);
  for (const [params, errno, names] of rows) {
    const call = `${method} ${JSON.stringify(params)}`;
    const fault = await faultOf(cluster.raw(method, { ver: XMLRPC_VERSION, ...params })).catch(
      (error: Error) => ({ errno: error.message, sentence: "" }),
    );
    expect.soft(fault.errno, `${call}: ${fault.sentence}`).toBe(errno);
    expect.soft(fault.sentence, call).toContain(`${errno}: `);
    expect.soft(fault.sentence, call).toContain(names);
  }
  expect.soft(await shownState(cluster), `${method}: a refused call changed something`).toEqual(before);
}

/** One call is refused with this errno, and has changed nothing. */
export function expectRefused(
  cluster: TestCluster,
  method: ManagerMethodName,
  params: XmlRpcStruct,
  errno: ErrorName,
): Promise<void> {
  return expectRefusals(cluster, method, [[params, errno, ""]]);
}
