// Completes package-lock.json after `npm install`.
//
// npm drops an optional platform package from the lock file when the registry it talks to does not hold it, and
// `npm ci` then refuses the file it has just written (EUSAGE, "Missing: … from lock file"). The entry is enough: an
// optional package of another platform is never fetched. Run `npm run lock` instead of `npm install`.
import { readFileSync, writeFileSync } from "node:fs";

const path = new URL("../package-lock.json", import.meta.url);
const lock = JSON.parse(readFileSync(path, "utf8"));

/** `cli-linux-x64-musl` → the fields by which npm decides whether the package fits this machine. */
function platformOf(name) {
  const [os, cpu, libc] = name.replace(/^.*\/cli-/, "").split("-");
  return { cpu: [cpu], ...(os === "linux" ? { libc: [libc ?? "glibc"] } : {}), os: [os] };
}

let added = 0;
for (const [folder, entry] of Object.entries(lock.packages)) {
  for (const [name, version] of Object.entries(entry.optionalDependencies ?? {})) {
    const key = `node_modules/${name}`;
    if (folder !== "node_modules/@biomejs/biome" || key in lock.packages) continue;
    lock.packages[key] = { version, ...platformOf(name), dev: true, optional: true };
    added += 1;
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : 1)));
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`);
console.log(`package-lock.json: ${added} entries completed`);
