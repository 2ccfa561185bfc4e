import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import {
  BindEvent,
  BindStatus,
  JobStatus,
  MemberStatus,
  SnapshotStatus,
  transitions,
} from "../../shared/states.js";
import { renderStates } from "./diagram.js";

const page = new URL("../../docs/states.md", import.meta.url);

/** The states of each thing, and those that it may have before anything happened to it. */
const machines = {
  // FREE is space that belongs to no extent, GONE that of a deleted disk: they have no numbers of their own.
  member: { states: [...Object.keys(MemberStatus), "FREE", "GONE"], initial: ["(new)"] },
  binding: {
    states: [...Object.keys(BindStatus), ...Object.keys(BindEvent).filter((name) => name !== "NONE")],
    initial: ["UNBOUND"],
  },
  snapshot: {
    states: [...Object.keys(SnapshotStatus).filter((name) => name !== "NONE"), "GONE"],
    initial: ["(new)"],
  },
  job: { states: Object.keys(JobStatus), initial: ["(new)"] },
} as const;

function reachable(thing: keyof typeof transitions): Set<string> {
  const reached = new Set<string>(machines[thing].initial);
  for (let size = 0; size < reached.size; ) {
    size = reached.size;
    for (const { from, to } of transitions[thing]) if (reached.has(from)) reached.add(to);
  }
  return reached;
}

test.each(Object.keys(transitions) as (keyof typeof transitions)[])(
  "every state of a %s is reachable",
  (thing) => {
    const reached = reachable(thing);
    expect(machines[thing].states.filter((state) => !reached.has(state))).toEqual([]);
  },
);

test.each(Object.keys(transitions) as (keyof typeof transitions)[])(
  "every arrow of a %s leads between known states",
  (thing) => {
    const known: readonly string[] = [...machines[thing].states, ...machines[thing].initial];
    expect(transitions[thing].filter(({ from, to }) => !known.includes(from) || !known.includes(to))).toEqual(
      [],
    );
  },
);

test("every arrow is owned by operations that are there", () => {
  const owners = Object.values(transitions).flatMap((arrows) =>
    arrows.flatMap(({ owner }) => owner.split(", ")),
  );
  const missing = owners.filter(
    (owner) => !existsSync(new URL(`../../manager/operations/${owner}.ts`, import.meta.url)),
  );
  expect(missing).toEqual([]);
});

test("docs/states.md is what shared/states.ts says", () => {
  if (process.env.VAS_WRITE_DOCS === "1") writeFileSync(page, renderStates());
  expect(readFileSync(page, "utf8")).toBe(renderStates());
});
