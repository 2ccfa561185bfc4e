import { z } from "zod";
import { errorRegistry } from "../errors.js";
import { XMLRPC_VERSION } from "../states.js";
import type { Method } from "./method.js";

/** A member of a struct, as documentation shows it; one of a nested struct as `running[].lvolid`. */
export interface MemberDescription {
  readonly name: string;
  readonly type: string;
  readonly isOptional: boolean;
  readonly about: string;
}

type Schema = z.core.JSONSchema.JSONSchema;

const jsonSchemaOf = (schema: z.ZodType): Schema =>
  z.toJSONSchema(schema, { unrepresentable: "any", io: "input" });

const isSchema = (schema: z.core.JSONSchema._JSONSchema | undefined): schema is Schema =>
  typeof schema === "object";

const scalarNames: Readonly<Record<string, string>> = { integer: "int", number: "double", object: "struct" };

function typeName(schema: Schema): string {
  if (schema.type === "array") {
    const items = Array.isArray(schema.items) ? schema.prefixItems?.[0] : schema.items;
    return isSchema(items) ? `array<${typeName(items)}>` : "array";
  }
  // The only literal numbers of the tables are whole ones.
  if (schema.const !== undefined) return typeof schema.const === "string" ? "string" : "int";
  if (typeof schema.type === "string") return scalarNames[schema.type] ?? schema.type;
  const [first] = schema.anyOf ?? [];
  return isSchema(first) ? typeName(first) : "int";
}

/** The XML-RPC type of a schema: `int`, `string`, `array<struct>`. */
export const typeOf = (schema: z.ZodType): string => typeName(jsonSchemaOf(schema));

/** What a schema says of itself. */
export const aboutOf = (schema: z.ZodType): string => jsonSchemaOf(schema).description ?? "";

/** A tree of volumes is too deep for a list: it has a section of its own in the docs. */
const TREE = "lvolstruct";

function membersOf(schema: Schema, prefix: string): MemberDescription[] {
  if (schema.description === TREE) return [];
  if (schema.type === "array")
    return isSchema(schema.items as Schema) ? membersOf(schema.items as Schema, `${prefix}[].`) : [];
  const required = new Set(schema.required ?? []);
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    if (!isSchema(member)) return [];
    const path = prefix.endsWith(".") || prefix === "" ? `${prefix}${name}` : `${prefix}.${name}`;
    const row = {
      name: path.replace(/^\[\]\./, ""),
      type: typeName(member),
      isOptional: !required.has(name),
      about: member.description ?? "",
    };
    const inner = member.type === "array" || member.type === "object" ? membersOf(member, path) : [];
    return [row, ...inner];
  });
}

/** The members of a struct, or of the structs of an array, and of those within them. */
export const describeMembers = (schema: z.ZodType): readonly MemberDescription[] =>
  membersOf(jsonSchemaOf(schema), "");

/** Every call takes it first. */
export const versionMember: MemberDescription = {
  name: "ver",
  type: "int",
  isOptional: false,
  about: `version of the protocol, ${XMLRPC_VERSION}`,
};

/** An error of a method: its number, and when it is raised. */
export interface ErrorDescription {
  readonly name: string;
  readonly code: number;
  readonly when: string;
}

const BAD_PARAMETER = "a parameter is missing, of another type or out of range";

/** The errors that a method may raise, EINVAL for bad parameters among them, by number. EPROTO and 500 are for every method. */
export function describeErrors(method: Method): readonly ErrorDescription[] {
  const hasParameters = describeMembers(method.params).length > 0;
  const { EINVAL, ...others } = method.errors;
  const invalid = [hasParameters ? BAD_PARAMETER : undefined, EINVAL].filter(
    (clause) => clause !== undefined,
  );
  const clauses = { ...others, ...(invalid.length > 0 ? { EINVAL: invalid.join(", or ") } : {}) };
  return Object.entries(clauses)
    .map(([name, when]) => ({ name, code: errorRegistry[name as keyof typeof clauses].code, when }))
    .sort((a, b) => a.code - b.code);
}

const memberLine = ({ name, type, isOptional, about }: MemberDescription): string =>
  `  ${name}  ${type}${isOptional ? ", optional" : ""}${about === "" ? "" : `: ${about}`}`;

/** A method in plain text: what system.methodHelp answers. */
export function describeMethod(name: string, method: Method): string {
  const answer = describeMembers(method.result);
  const errors = describeErrors(method).map(({ name: errno, code, when }) => `  ${errno} (${code})  ${when}`);
  return [
    `${name}(struct) -> ${typeOf(method.result)}`,
    method.help,
    "Parameters, the members of one struct:",
    ...[versionMember, ...describeMembers(method.params)].map(memberLine),
    `Answer: ${aboutOf(method.result)}`,
    ...answer.map(memberLine),
    ...(errors.length > 0 ? ["Errors:", ...errors] : []),
  ].join("\n");
}
