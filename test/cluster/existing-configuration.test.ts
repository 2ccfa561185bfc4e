import { appendFileSync } from "node:fs";
import { expect, onTestFinished, test } from "vitest";
import { confPath } from "../../cli/local/server.js";
import { TestCluster } from "../harness/cluster.js";
import { waitUntil } from "../harness/wait-until.js";

const OLD_KEYS = `
[ssvr_agent]
dd_cmd: dd ; as it always was
[iscsi]
iqn_prefix: 2000-11.jp.co.valinux
[syslog]
host: 192.168.20.6
loglevel: DEBUG
`;

test("servers start with the keys of an existing installation, and tell which have no effect", async () => {
  const cluster = await TestCluster.create({ storageServers: 1 });
  onTestFinished(() => cluster.destroy());
  for (const server of cluster.servers) {
    server.prepare();
    appendFileSync(confPath(server.plan), OLD_KEYS);
    server.up();
  }
  await cluster.waitUntilUsable();
  for (const server of cluster.servers) {
    await waitUntil(`${server.plan.name} has told`, () => server.logTail(500).includes("dd_cmd"));
    const log = server.logTail(500);
    expect(log).toMatch(/WARN: .*vas\.conf line \d+: \[ssvr_agent\] dd_cmd has no effect/);
    expect(log).toMatch(/WARN: .*vas\.conf line \d+: \[syslog\] host has no effect/);
    expect(log.match(/dd_cmd has no effect/g)).toHaveLength(1);
  }
});
