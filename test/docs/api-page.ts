import { extensionMethods } from "../../shared/methods/api/extension-methods.js";
import { notificationMethods } from "../../shared/methods/api/notification-methods.js";
import { queryMethods } from "../../shared/methods/api/query-methods.js";
import { registrationMethods } from "../../shared/methods/api/registration-methods.js";
import { volumeMethods } from "../../shared/methods/api/volume-methods.js";
import {
  aboutOf,
  describeErrors,
  describeMembers,
  type MemberDescription,
  typeOf,
  versionMember,
} from "../../shared/methods/describe-method.js";
import type { Method } from "../../shared/methods/method.js";
import {
  describeSystemMethod,
  type SystemMethodName,
  systemMethods,
} from "../../shared/methods/system-methods.js";
import { introduction, layoutTree } from "./api-introduction.js";

const sections: readonly (readonly [title: string, methods: Readonly<Record<string, Method>>])[] = [
  ["Registration and deletion of resources", registrationMethods],
  ["Logical volumes", volumeMethods],
  ["Queries", queryMethods],
  ["Notifications, and shutting down", notificationMethods],
  ["Extensions: for our own agents and command line", extensionMethods],
];

/** A `|` would end the cell. */
const cell = (text: string): string => text.replaceAll("|", "\\|");

const memberRow = ({ name, type, isOptional, about }: MemberDescription): string =>
  `| \`${name}\` | \`${type}\`${isOptional ? ", optional" : ""} | ${cell(about)} |`;

function memberTable(title: string, members: readonly MemberDescription[]): string[] {
  return [`| ${title} | type | |`, "|---|---|---|", ...members.map(memberRow), ""];
}

function renderMethod(name: string, method: Method): string[] {
  const answer = describeMembers(method.result);
  const errors = describeErrors(method).map(
    ({ name: errno, code, when }) => `| \`${errno}\` ${code} | ${cell(when)} |`,
  );
  const answered = `Answers \`${typeOf(method.result)}\`: ${aboutOf(method.result)}${answer.length > 0 ? ", with these members:" : "."}`;
  return [
    `### ${name}`,
    "",
    method.help,
    "",
    ...memberTable("parameter", [versionMember, ...describeMembers(method.params)]),
    answered,
    "",
    ...(answer.length > 0 ? memberTable("member", answer) : []),
    ...(errors.length > 0 ? ["| error | when |", "|---|---|", ...errors, ""] : []),
  ];
}

/** The text of docs/api.md. */
export function renderApi(): string {
  const system = Object.keys(systemMethods) as SystemMethodName[];
  return [
    ...introduction,
    ...sections.flatMap(([title, methods]) => [
      `## ${title}`,
      "",
      ...Object.entries(methods).flatMap(([name, method]) => renderMethod(name, method)),
    ]),
    ...layoutTree,
    "## Introspection",
    "",
    "These take their parameters one by one, and no `ver`.",
    "",
    ...system.flatMap((name) => [`### ${name}`, "", "```", describeSystemMethod(name), "```", ""]),
  ]
    .join("\n")
    .trimEnd()
    .concat("\n");
}
