import { once } from "node:events";
import { appendFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import SqliteDatabase from "better-sqlite3";
import { expect, onTestFinished, test } from "vitest";
import { confPath } from "../../cli/local/server.js";
import { TestCluster } from "../harness/cluster.js";
import type { TestServer } from "../harness/test-server.js";
import { waitUntil } from "../harness/wait-until.js";

/** A cluster of which nothing runs yet. */
async function unstarted(): Promise<TestCluster> {
  const cluster = await TestCluster.create({ storageServers: 1 });
  onTestFinished(() => cluster.destroy());
  for (const server of cluster.servers) server.prepare();
  return cluster;
}

/** Starts a server that must not start. @returns what it said. */
async function refusalOf(server: TestServer): Promise<string> {
  const [code] = await once(server.up(), "exit");
  const said = server.logTail();
  expect(code, said).toBeGreaterThan(0);
  expect(said, "a stack trace is not a sentence").not.toMatch(/^\s+at .*:\d+:\d+/m);
  return said;
}

const ports = { manager: 8881, head: 8882, storage: 8883 } as const;

test.each(["manager", "head", "storage"] as const)("the %s says which port is taken", async (kind) => {
  const cluster = await unstarted();
  const server = cluster.servers.find(({ plan }) => plan.kind === kind) as TestServer;
  const squatter = createServer().listen(ports[kind], server.plan.address);
  await once(squatter, "listening");
  onTestFinished(() => {
    squatter.close();
  });
  const said = await refusalOf(server);
  expect(said).toContain(server.plan.address);
  expect(said).toContain(String(ports[kind]));
});

test.each(["manager", "head", "storage"] as const)(
  "the %s names the line of a bad configuration",
  async (kind) => {
    const cluster = await unstarted();
    const server = cluster.servers.find(({ plan }) => plan.kind === kind) as TestServer;
    appendFileSync(confPath(server.plan), "\n[storage_manager]\nprot = 1\n");
    expect(await refusalOf(server)).toMatch(/vas\.conf line \d+.*prot/);
  },
);

test("the manager refuses a database of a newer version", async () => {
  const cluster = await unstarted();
  cluster.manager.up();
  await waitUntil("the manager answers", () => cluster.status());
  await cluster.manager.stop(10_000);
  const database = new SqliteDatabase(String(cluster.manager.plan.conf.storage_manager?.database));
  database
    .prepare("INSERT INTO schema_migration (name, timestamp) VALUES (?, ?)")
    .run("9999-from-the-future", "2099");
  database.close();
  expect(await refusalOf(cluster.manager)).toMatch(/newer/);
});

test("the storage agent says which disk file is missing", async () => {
  const cluster = await unstarted();
  const server = cluster.storage[0] as TestServer;
  const disk = server.plan.disks[0] ?? "";
  rmSync(disk);
  cluster.manager.up();
  server.up();
  await waitUntil("it says so", () => server.logTail().includes(disk));
});
