import { setTimeout as pause } from "node:timers/promises";
import type { TestServer } from "../../harness/test-server.js";
import type { Random } from "./random.js";
import { type Course, duration, during, type Fault, type World } from "./world.js";

/** Links between manager, heads and storage servers are cut, in one direction or both. */
type Pair = readonly [TestServer, TestServer];

/** One thing to be taken, whichever end it is asked from. */
const keyOf = ([one, other]: Pair): string => `${one.plan.name}-${other.plan.name}`;

function pairsOf({ cluster }: World): Record<"manager–head" | "manager–storage" | "head–storage", Pair[]> {
  const { manager, heads, storage } = cluster;
  return {
    "manager–head": heads.map((head) => [manager, head]),
    "manager–storage": storage.map((server) => [manager, server]),
    "head–storage": heads.flatMap((head) => storage.map((server): Pair => [head, server])),
  };
}

type Way = "both ways" | "one way";

async function cutFor(pairs: readonly Pair[], way: Way, world: World, random: Random): Promise<void> {
  const { network } = world.cluster;
  // The same direction for all: what one server sends, or what it is sent.
  const isForth = random.chance(0.5);
  for (const [one, other] of pairs) {
    if (way === "both ways") network.cut(one, other);
    else network.cutOneWay(isForth ? { from: one, to: other } : { from: other, to: one });
  }
  await pause(duration(random));
  for (const [one, other] of pairs) network.heal(one, other);
}

function cutPair(between: keyof ReturnType<typeof pairsOf>, way: Way, weight: number): Fault {
  const name = `cut ${between} ${way}`;
  const begin = (world: World, random: Random): Course | undefined => {
    const pair = random.pick(
      pairsOf(world)[between].filter((candidate) => !world.busy.has(keyOf(candidate))),
    );
    if (pair === undefined) return undefined;
    return during(world, [keyOf(pair)], `${name}: ${keyOf(pair)}`, () => cutFor([pair], way, world, random));
  };
  return { name, weight, begin };
}

/** All links of one server that are not cut already. */
function isolate(
  way: Way,
  weight: number,
  ends: (world: World) => readonly TestServer[],
  what: string,
): Fault {
  const name = `isolate ${what} ${way}`;
  const begin = (world: World, random: Random): Course | undefined => {
    const server = random.pick(ends(world));
    const all = Object.values(pairsOf(world)).flat();
    const pairs = all
      .filter((pair) => server !== undefined && pair.includes(server) && !world.busy.has(keyOf(pair)))
      .map(([one, other]): Pair => (one === server ? [one, other] : [other, one]));
    if (server === undefined || pairs.length < 2) return undefined;
    const keys = all
      .filter((pair) => pairs.some((mine) => pair.every((end) => mine.includes(end))))
      .map(keyOf);
    return during(world, keys, `${name}: ${server.plan.name}`, () => cutFor(pairs, way, world, random));
  };
  return { name, weight, begin };
}

export const linkFaults: readonly Fault[] = [
  cutPair("manager–head", "both ways", 2),
  cutPair("manager–head", "one way", 2),
  cutPair("manager–storage", "both ways", 2),
  cutPair("manager–storage", "one way", 2),
  cutPair("head–storage", "both ways", 3),
  cutPair("head–storage", "one way", 3),
  isolate("both ways", 1, ({ cluster }) => cluster.storage, "storage server"),
  isolate("one way", 1, ({ cluster }) => cluster.storage, "storage server"),
  isolate("both ways", 0.7, ({ cluster }) => cluster.heads, "head"),
  isolate("one way", 0.7, ({ cluster }) => cluster.heads, "head"),
  isolate("both ways", 0.5, ({ cluster }) => [cluster.manager], "manager"),
];
