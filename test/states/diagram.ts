import { transitions } from "../../shared/states.js";

const titles: Record<keyof typeof transitions, string> = {
  member: "Space of a disk, and members of mirrors",
  binding: "Binding of a volume to a head server",
  snapshot: "Snapshots",
  job: "Jobs of the manager",
};

/** Mermaid knows `[*]` as the state before the first. */
const mermaidName = (state: string): string => (state === "(new)" ? "[*]" : state);

function diagramOf(thing: keyof typeof transitions): string {
  const arrows = transitions[thing];
  const lines = arrows.map(
    ({ from, to, owner }) => `    ${mermaidName(from)} --> ${mermaidName(to)}: ${owner}`,
  );
  const rows = arrows.map(({ from, to, owner, when }) => `| ${from} | ${to} | ${owner} | ${when} |`);
  return [
    `## ${titles[thing]}`,
    "",
    "```mermaid",
    "stateDiagram-v2",
    ...lines,
    "```",
    "",
    "| from | to | owner | when |",
    "|---|---|---|---|",
    ...rows,
    "",
  ].join("\n");
}

/** The text of docs/states.md. */
export function renderStates(): string {
  const things = Object.keys(transitions) as (keyof typeof transitions)[];
  const introduction = [
    "# States",
    "",
    "Generated from `shared/states.ts`; `VAS_WRITE_DOCS=1 npx vitest run --config test/vitest.config.ts test/states`",
    "writes it anew. The owner of an arrow is the operation that makes the transition; no other code may.",
    "",
  ];
  return [...introduction, ...things.map(diagramOf)].join("\n");
}
