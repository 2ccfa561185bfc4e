import { readdirSync } from "node:fs";
import { join } from "node:path";
import { build } from "rolldown";

/** The rooms whose programs run in machines. `vas` stays as it is: it looks for files beside its own modules. */
const rooms = ["manager", "agents"] as const;
/** It loads a compiled module from its own folder. */
const external = ["better-sqlite3"];

/**
 * Puts each compiled program into one file with all that it imports, at its own place in `to`. An emulated machine takes half a
 * minute to load the hundreds of modules of an agent one by one, and a third of that for one file.
 *
 * @param dist what `npm run build` made
 */
export async function bundlePrograms(dist: string, to: string): Promise<void> {
  const programs = rooms.flatMap((room) =>
    readdirSync(join(dist, room), { recursive: true, encoding: "utf8" })
      .filter((name) => /(^|[/-])main\.js$/.test(name))
      .map((name) => join(room, name)),
  );
  for (const program of programs) {
    await build({
      input: join(dist, program),
      platform: "node",
      external,
      logLevel: "warn",
      output: { file: join(to, program), format: "esm", codeSplitting: false },
    });
  }
}
