import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { type MemberRow, memberRows } from "../../cli/commands/volume.js";
import { findProcesses, killAll, type LiveProcess } from "../../cli/local/processes.js";
import { showStorageServer } from "../../shared/ids.js";
import { MIB } from "../../shared/units.js";
import { claimAddresses } from "../harness/addresses.js";
import { NbdClient } from "../harness/nbd-client.js";
import { makeTestFolder, OWNER_TAG, ownIdentity } from "../harness/orphans.js";
import { randomData } from "../harness/random-data.js";
import { run } from "../harness/tools.js";
import { firstMismatch, writeAll } from "../harness/volume-io.js";
import { waitUntil } from "../harness/wait-until.js";

const dist = fileURLToPath(new URL("../../dist/cli/", import.meta.url));

/** What a person has in front of them: a folder, a terminal with `npm start`, and another one to type into. */
class LocalTerminal {
  private output = "";
  private starter: ChildProcess | undefined;

  private constructor(
    readonly state: string,
    readonly addresses: string,
  ) {}

  static async open(): Promise<LocalTerminal> {
    const block = await claimAddresses();
    const state = makeTestFolder();
    const terminal = new LocalTerminal(state, block.prefix);
    onTestFinished(async ({ task }) => {
      if (task.result?.state === "fail") process.stderr.write(`${terminal.output}\n`);
      terminal.starter?.kill("SIGKILL");
      await killAll(terminal.processes);
      rmSync(state, { recursive: true, force: true });
      block.release();
    });
    return terminal;
  }

  readonly processes = (): LiveProcess[] => findProcesses((folder) => folder.startsWith(`${this.state}/`));

  /** `npm start`, until it says what to try next. */
  async start(...args: string[]): Promise<void> {
    this.output = "";
    const all = [
      join(dist, "local-cluster.js"),
      "--state",
      this.state,
      "--addresses",
      this.addresses,
      ...args,
    ];
    const env = { ...process.env, [OWNER_TAG]: ownIdentity() };
    const child = spawn(process.execPath, all, { env, stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        this.output += text;
      });
    }
    this.starter = child;
    await this.waitUntilSays("Ctrl-C here");
  }

  async waitUntilSays(text: string, timeoutMs = 120_000): Promise<void> {
    await waitUntil(`npm start says "${text}"`, () => this.output.includes(text), timeoutMs);
  }

  /** Ctrl-C. @returns the exit code. */
  async interrupt(): Promise<unknown> {
    this.starter?.kill("SIGINT");
    const [code] = await once(this.starter as ChildProcess, "exit");
    return code;
  }

  killStarter(): void {
    this.starter?.kill("SIGKILL");
  }

  /** Types a command into the other terminal. */
  async vas(...args: string[]): Promise<string> {
    const words = [join(dist, "main.js"), "--config", join(this.state, "vas.conf"), ...args];
    const env = { ...process.env, [OWNER_TAG]: ownIdentity() };
    const { code, stdout, stderr } = await run(process.execPath, words, env);
    expect(code, `vas ${args.join(" ")}: ${stderr}${code === 0 ? "" : stdout}`).toBe(0);
    return stdout;
  }

  /**
   * All six copies of `demo` are in sync, none of them on this server. Before the manager knows that a server is lost, all is
   * well in its eyes, too.
   */
  async hasHealedWithout(ssvrid: number): Promise<boolean> {
    const members = memberRows(JSON.parse(await this.vas("--json", "volume", "show", "demo")));
    const isGood = ({ server, status }: MemberRow): boolean =>
      status === "INSYNC" && server !== showStorageServer(ssvrid);
    return members.length === 6 && members.every(isGood);
  }

  async openVolume(name: string): Promise<NbdClient> {
    return NbdClient.connect({ path: join(this.state, "run", "head-1", name) });
  }
}

test("five minutes with a volume: create, attach, write, lose a server, read, heal, stop, start again, delete", async () => {
  const terminal = await LocalTerminal.open();
  await terminal.start("--disk-gb", "3");
  const servers = JSON.parse(await terminal.vas("--json", "server", "list"));
  const address = `${terminal.addresses}21`;
  const lost = servers.storage.find(({ ip_data }: { ip_data: string[] }) =>
    ip_data.includes(`${terminal.addresses}12`),
  ).ssvrid;
  const head = servers.heads.find(({ ip_data }: { ip_data: string[] }) => ip_data.includes(address)).hsvrid;
  await terminal.vas("volume", "create", "demo", "--size", "2");
  await terminal.vas("volume", "attach", "demo", "--head", String(head));
  const data = randomData("demo", 64 * MIB);
  const client = await terminal.openVolume("demo");
  await writeAll(client, 0, data);

  await terminal.vas("local", "kill", "storage-2", "--state", terminal.state);
  await terminal.waitUntilSays("storage-2 has ended");
  expect(await firstMismatch(client, 0, data)).toBeUndefined();
  await waitUntil(
    "every copy is on another server, and good",
    () => terminal.hasHealedWithout(lost),
    240_000,
  );
  await terminal.vas("check");
  await terminal.vas("local", "start", "storage-2", "--state", terminal.state);
  await terminal.waitUntilSays("storage-2 runs again");
  await client.close();

  expect(await terminal.interrupt()).toBe(0);
  expect(terminal.processes()).toEqual([]);
  await terminal.start();
  await terminal.vas("volume", "attach", "demo", "--head", String(head));
  const again = await terminal.openVolume("demo");
  expect(await firstMismatch(again, 0, data)).toBeUndefined();
  await again.close();
  await terminal.vas("volume", "detach", "demo");
  await terminal.vas("volume", "delete", "demo");
  await terminal.vas("check");
  expect(await terminal.interrupt()).toBe(0);
});

test("what a killed `npm start` left behind is ended by the next one", async () => {
  const terminal = await LocalTerminal.open();
  await terminal.start("--disk-gb", "1");
  const left = terminal.processes().map(({ pid }) => pid);
  terminal.killStarter();

  await terminal.start();
  const now = terminal.processes().map(({ pid }) => pid);
  expect(now.filter((pid) => left.includes(pid))).toEqual([]);
  expect(await terminal.interrupt()).toBe(0);
});

test("a second `npm start` on the same addresses, or in the same folder, says what to do and disturbs nothing", async () => {
  const terminal = await LocalTerminal.open();
  await terminal.start("--disk-gb", "1");
  const before = terminal.processes().map(({ pid }) => pid);

  const otherFolder = makeTestFolder();
  onTestFinished(() => rmSync(otherFolder, { recursive: true, force: true }));
  const start = (state: string) =>
    run(process.execPath, [
      join(dist, "local-cluster.js"),
      "--state",
      state,
      "--addresses",
      terminal.addresses,
    ]);
  const sameAddresses = await start(otherFolder);
  expect(sameAddresses.code).toBe(1);
  expect(sameAddresses.stderr).toContain("--addresses");
  const sameFolder = await start(terminal.state);
  expect(sameFolder.code).toBe(1);
  expect(sameFolder.stderr).toContain("Ctrl-C");

  expect(terminal.processes().map(({ pid }) => pid)).toEqual(before);
  expect(await terminal.interrupt()).toBe(0);
});
