import { expect } from "vitest";
import type { ManagerMethodName } from "../../../shared/methods/manager-methods.js";
import { XMLRPC_VERSION } from "../../../shared/states.js";
import { decodeResponse } from "../../../shared/xmlrpc/decode-response.js";
import { encodeCall } from "../../../shared/xmlrpc/encode-call.js";
import type { XmlRpcStruct, XmlRpcValue } from "../../../shared/xmlrpc/value.js";
import type { TestCluster } from "../../harness/cluster.js";
import { faultOf } from "../../harness/fault-of.js";
import { shownState } from "../../harness/shown-state.js";

/** How clients write a whole number. */
const wholeForms = (value: number): string[] => [
  `<int>${value}</int>`,
  `<i4>${value}</i4>`,
  `<i8>${value}</i8>`,
  `<double>${value}.0</double>`,
  `<double>${value}</double>`,
];
/** What looks like one and is none; without a type it is a string. */
const wrongForms = (value: number): string[] => [
  `<string>${value}</string>`,
  `${value}`,
  "<boolean>1</boolean>",
  `<double>${value}.5</double>`,
  `<array><data><value><int>${value}</int></value></data></array>`,
];

export interface NumberMember {
  readonly method: ManagerMethodName;
  readonly member: string;
  readonly value: number;
  /** The other members of call number n, besides `ver`. */
  readonly others: (call: number) => XmlRpcStruct;
}

/**
 * A member that is a whole number is taken in every form of one; what is no number gets EINVAL, in a sentence that names
 * the member, and changes nothing.
 *
 * @returns what the calls answered that were taken.
 */
export async function expectNumberForms(cluster: TestCluster, about: NumberMember): Promise<XmlRpcValue[]> {
  const before = await shownState(cluster);
  for (const form of wrongForms(about.value)) {
    const fault = await faultOf(callWritten(cluster, about, form, 0));
    expect.soft(fault.errno, `${about.method} ${about.member} ${form}`).toBe("EINVAL");
    expect.soft(fault.sentence, form).toContain(about.member);
  }
  expect(await shownState(cluster)).toEqual(before);

  const answers: XmlRpcValue[] = [];
  for (const [index, form] of wholeForms(about.value).entries()) {
    answers.push(await callWritten(cluster, about, form, index + 1));
  }
  return answers;
}

const MARK = "the number";

async function callWritten(
  cluster: TestCluster,
  { method, member, others }: NumberMember,
  form: string,
  call: number,
): Promise<XmlRpcValue> {
  const body = encodeCall(method, [{ ver: XMLRPC_VERSION, ...others(call), [member]: MARK }]);
  const answer = await fetch(cluster.managerUrl, {
    method: "POST",
    headers: { "content-type": "text/xml" },
    body: body.replace(`<string>${MARK}</string>`, form),
  });
  const response = decodeResponse(Buffer.from(await answer.arrayBuffer()));
  if (response.kind === "value") return response.value;
  throw response.fault;
}
