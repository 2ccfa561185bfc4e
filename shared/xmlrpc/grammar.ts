/** What one element of XML-RPC may hold. */
export interface ElementRule {
  /** The names allowed at each place, in order. */
  readonly places: readonly ReadonlySet<string>[];
  /** The one place may be taken any number of times. */
  readonly repeats: boolean;
  /** How many children there must be at least. */
  readonly required: number;
  /** Text counts; elsewhere only blanks may stand between the children. */
  readonly holdsText: boolean;
}

const SCALARS = ["int", "i4", "i8", "boolean", "string", "double", "dateTime.iso8601", "base64"];

const text: ElementRule = { places: [], repeats: false, required: 0, holdsText: true };

function inOrder(...names: readonly string[]): ElementRule {
  return {
    places: names.map((name) => new Set([name])),
    repeats: false,
    required: names.length,
    holdsText: false,
  };
}

function oneOf(...names: readonly string[]): ElementRule {
  return { places: [new Set(names)], repeats: false, required: 1, holdsText: false };
}

function anyNumberOf(name: string): ElementRule {
  return { places: [new Set([name])], repeats: true, required: 0, holdsText: false };
}

/** The grammar of XML-RPC (http://xmlrpc.com/spec.md, and `i8` of common practice), by element name. */
export const GRAMMAR: ReadonlyMap<string, ElementRule> = new Map([
  ["methodCall", { ...inOrder("methodName", "params"), required: 1 }],
  ["methodResponse", oneOf("params", "fault")],
  ["methodName", text],
  ["params", anyNumberOf("param")],
  ["param", inOrder("value")],
  ["fault", inOrder("value")],
  // A value without a type element is a string.
  ["value", { ...oneOf(...SCALARS, "array", "struct"), required: 0, holdsText: true }],
  ["array", inOrder("data")],
  ["data", anyNumberOf("value")],
  ["struct", anyNumberOf("member")],
  ["member", inOrder("name", "value")],
  ["name", text],
  ...SCALARS.map((name): [string, ElementRule] => [name, text]),
]);

/** Whether `child` may come next in an element with this rule that has `count` children already. */
export function mayHold(rule: ElementRule, child: string, count: number): boolean {
  return rule.places[rule.repeats ? 0 : count]?.has(child) ?? false;
}
