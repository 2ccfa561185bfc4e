/** The rooms of the source tree, and which of them each may import from besides itself. */
export interface Room {
  /** Folder; a file belongs to the longest one that holds it. */
  readonly folder: string;
  readonly mayImport: readonly string[];
}

const managerRooms = ["api", "operations", "domain", "layout", "store", "jobs", "agents-port"].map(
  (name) => `manager/${name}`,
);

export const rooms: readonly Room[] = [
  { folder: "shared", mayImport: [] },
  { folder: "schema", mayImport: ["shared"] },
  // Only main.ts lies in the manager's own folder: it wires the rooms together.
  { folder: "manager", mayImport: [...managerRooms, "schema", "shared"] },
  { folder: "manager/domain", mayImport: ["shared"] },
  { folder: "manager/layout", mayImport: ["shared"] },
  { folder: "manager/store", mayImport: ["manager/domain", "schema", "shared"] },
  {
    folder: "manager/operations",
    mayImport: ["manager/domain", "manager/layout", "manager/store", "shared"],
  },
  { folder: "manager/agents-port", mayImport: ["shared"] },
  {
    folder: "manager/jobs",
    mayImport: [
      "manager/operations",
      "manager/store",
      "manager/agents-port",
      "manager/domain",
      "manager/layout",
      "shared",
    ],
  },
  { folder: "manager/api", mayImport: ["manager/operations", "shared"] },
  { folder: "agents/common", mayImport: ["shared"] },
  { folder: "agents/head", mayImport: ["agents/common", "shared"] },
  { folder: "agents/storage", mayImport: ["agents/common", "shared"] },
  { folder: "cli", mayImport: ["shared"] },
];

/** Packages that only some rooms may use. */
export const reservedPackages: Readonly<Record<string, readonly string[]>> = {
  "better-sqlite3": ["manager/store"],
  kysely: ["manager/store", "schema"],
  saxes: ["shared/xmlrpc"],
  "node-cron": ["manager"],
  commander: ["cli", "agents", "manager"],
};

/** Folders of product code; `bench` and `test` may import everything, and nothing imports them. */
export const productFolders = ["shared", "schema", "manager", "agents", "cli"] as const;

export function isWithin(path: string, folder: string): boolean {
  return path.startsWith(`${folder}/`);
}

/** @returns undefined for a file that lies in no room. */
export function roomOf(path: string): Room | undefined {
  return rooms
    .filter(({ folder }) => isWithin(path, folder))
    .reduce<Room | undefined>(
      (best, room) => (best === undefined || room.folder.length > best.folder.length ? room : best),
      undefined,
    );
}
