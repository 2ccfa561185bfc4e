import type { Place } from "./candidates.js";
import { type ClusterRoom, type ZoneRoom, zoneHeap } from "./cluster-room.js";
import type { ServerRoom } from "./server-room.js";

interface Choice {
  readonly zone: ZoneRoom;
  readonly server: ServerRoom;
}

/**
 * Takes the places of one mirror, of the length that the room was last told: each on another server, in different
 * zones as long as there are zones with room, best first.
 *
 * @returns undefined, with nothing taken, if fewer servers than `copies` have room.
 */
export function placeMirror(room: ClusterRoom, copies: number): Place[] | undefined {
  const choices = oneOfEachZone(room, copies);
  const zones = choices.map((choice) => choice.zone);
  if (choices.length < copies) choices.push(...bestOfAnyZone(zones, copies - choices.length));

  const places = choices.length < copies ? undefined : choices.map(({ server }) => server.take());
  for (const { zone, server } of choices) if (server.hasRoom()) zone.push(server);
  for (const zone of zones) if (zone.size > 0) room.zones.push(zone);
  return places;
}

/** Takes zones and their best servers out of the room, as many as are needed and there are. */
function oneOfEachZone(room: ClusterRoom, copies: number): Choice[] {
  const choices: Choice[] = [];
  while (choices.length < copies) {
    const zone = room.zones.pop();
    const server = zone?.pop();
    if (zone === undefined || server === undefined) break;
    choices.push({ zone, server });
  }
  return choices;
}

/** The best servers that are left, when all zones have been used. */
function bestOfAnyZone(zones: readonly ZoneRoom[], copies: number): Choice[] {
  const choices: Choice[] = [];
  const rest = zoneHeap(zones.filter((zone) => zone.size > 0));
  while (choices.length < copies) {
    const zone = rest.peek();
    const server = zone?.pop();
    if (zone === undefined || server === undefined) break;
    choices.push({ zone, server });
    if (zone.size > 0) rest.sinkBest();
    else rest.pop();
  }
  return choices;
}
