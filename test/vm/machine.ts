import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readFileSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { GIB, type Milliseconds } from "../../shared/units.js";
import { waitUntil } from "../harness/wait-until.js";
import { JsonSocket } from "./json-socket.js";

/** Long: it is emulated. */
const BOOT_MS: Milliseconds = 240_000;
const ANSWER_MS: Milliseconds = 30_000;

export interface MachinePlan {
  readonly name: string;
  /** What `image/build.sh` left. */
  readonly image: string;
  /** For sockets and logs; of this machine alone. */
  readonly folder: string;
  /** Image of an ext4 file system, mounted at /data, which keeps what is written there. */
  readonly data?: string;
  /** Further disks, each a sparse file of this machine alone: `/dev/disk/by-id/virtio-<id>`. */
  readonly disks?: readonly { readonly id: string; readonly gigabytes: number }[];
  /** A network card; connections to this free port of ours go to `to` of the machine, which is 10.0.2.15 if it wants to be reached. */
  readonly door?: { readonly port: number; readonly to: number };
  readonly memoryMb?: number;
}

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** A virtual machine that runs Debian's kernel and tools. What is written to its root file system is gone when it ends. */
export class Machine {
  #agent: JsonSocket | undefined;

  private constructor(
    readonly plan: MachinePlan,
    private readonly process: ChildProcess,
  ) {}

  /** @throws if it does not come up in time, with the end of its console */
  static async boot(plan: MachinePlan): Promise<Machine> {
    // It ends with us, whatever ends us.
    for (const { id, gigabytes } of plan.disks ?? [])
      if (!existsSync(diskFile(plan.folder, id))) makeSparse(diskFile(plan.folder, id), gigabytes);
    const child = spawn("setpriv", ["--pdeathsig", "KILL", "qemu-system-x86_64", ...qemuArguments(plan)], {
      stdio: ["ignore", "inherit", "inherit"],
    });
    await once(child, "spawn");
    const machine = new Machine(plan, child);
    try {
      await machine.#waitUntilUp();
    } catch (cause) {
      await machine.end();
      throw new Error(`${plan.name} does not come up:\n${machine.consoleTail()}`, { cause });
    }
    return machine;
  }

  /**
   * Runs a script of bash to its end.
   *
   * @throws if it ends with another code than 0, with what it printed; or does not end in time
   */
  async run(script: string, timeout: Milliseconds = 120_000): Promise<string> {
    const { code, stdout, stderr } = await this.try(script, timeout);
    if (code === 0) return stdout;
    throw new Error(`${this.plan.name}: ended with ${code}: ${script}\n${stdout}\n${stderr}`);
  }

  /** The same for a script that may fail. */
  async try(script: string, timeout: Milliseconds = 120_000): Promise<Finished> {
    const bounded = ["--kill-after=5", String(Math.ceil(timeout / 1000)), "bash", "-c", script];
    const agent = await this.#connectedAgent();
    const start = { path: "/usr/bin/timeout", arg: bounded, "capture-output": true };
    const { pid } = (await agent.execute("guest-exec", start, ANSWER_MS)) as { pid: number };
    const status = await waitUntil(
      `${this.plan.name} has run: ${script}`,
      async () => {
        const answer = (await agent.execute("guest-exec-status", { pid }, ANSWER_MS)) as ExecStatus;
        return answer.exited && answer;
      },
      timeout + ANSWER_MS,
    );
    return {
      code: status.exitcode ?? 128 + (status.signal ?? 0),
      stdout: decode(status["out-data"]),
      stderr: decode(status["err-data"]),
    };
  }

  /** The reset button: what was not on its disks is lost. Comes back when it is up again. */
  async reset(): Promise<void> {
    this.#agent?.close();
    this.#agent = undefined;
    const monitor = await JsonSocket.open(this.#monitorPath);
    try {
      await monitor.execute("qmp_capabilities", {}, ANSWER_MS);
      await monitor.execute("system_reset", {}, ANSWER_MS);
    } finally {
      monitor.close();
    }
    await this.#waitUntilUp();
  }

  async end(): Promise<void> {
    this.#agent?.close();
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const ended = once(this.process, "exit");
    this.process.kill("SIGKILL");
    await ended;
  }

  consoleTail(lines = 60): string {
    return readFileSync(consolePath(this.plan), "utf8").split("\n").slice(-lines).join("\n");
  }

  get #monitorPath(): string {
    return join(this.plan.folder, "monitor");
  }

  async #waitUntilUp(): Promise<void> {
    const isUp = async (): Promise<boolean> => {
      return (await this.try("true", ANSWER_MS)).code === 0;
    };
    await waitUntil(`${this.plan.name} is up`, isUp, BOOT_MS);
  }

  async #connectedAgent(): Promise<JsonSocket> {
    if (this.#agent?.isOpen) return this.#agent;
    const agent = await JsonSocket.open(join(this.plan.folder, "agent"));
    try {
      // What an earlier connection left unread is not for us.
      const id = Math.floor(Math.random() * 2 ** 31);
      const echo = await agent.execute("guest-sync", { id }, 2_000);
      if (echo !== id) throw new Error("the guest agent answers somebody else");
    } catch (error) {
      agent.close();
      throw error;
    }
    this.#agent = agent;
    return agent;
  }
}

interface ExecStatus {
  readonly exited: boolean;
  readonly exitcode?: number;
  readonly signal?: number;
  readonly "out-data"?: string;
  readonly "err-data"?: string;
}

const decode = (data = ""): string => Buffer.from(data, "base64").toString("utf8");
const diskFile = (folder: string, id: string): string => join(folder, `${id}.disk`);

function makeSparse(path: string, gigabytes: number): void {
  closeSync(openSync(path, "w"));
  truncateSync(path, gigabytes * GIB);
}
const consolePath = ({ folder }: MachinePlan): string => join(folder, "console");

function qemuArguments({ name, image, folder, data, disks = [], door, memoryMb }: MachinePlan): string[] {
  // No watchdogs: on a busy host a lockup report says nothing about the guest.
  const kernel = `console=ttyS0 quiet panic=-1 mitigations=off audit=0 nowatchdog rcupdate.rcu_cpu_stall_suppress=1 \
random.trust_cpu=on raid=noautodetect net.ifnames=0 vas.name=${name}`;
  const socket = (id: string): string => `socket,id=${id},path=${join(folder, id)},server=on,wait=off`;
  return [
    ...["-accel", "tcg,thread=single", "-cpu", "max", "-machine", "q35", "-smp", "1"],
    ...["-m", String(memoryMb ?? 2048), "-nodefaults", "-no-user-config", "-display", "none"],
    ...["-kernel", join(image, "vmlinuz"), "-initrd", join(image, "initrd.gz"), "-append", kernel],
    ...["-serial", `file:${consolePath({ name, image, folder })}`],
    ...["-chardev", socket("monitor"), "-mon", "chardev=monitor,mode=control"],
    ...["-device", "virtio-serial-pci", "-chardev", socket("agent")],
    ...["-device", "virtserialport,chardev=agent,name=org.qemu.guest_agent.0"],
    ...["-object", "rng-random,id=rng,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng"],
    ...(door === undefined ? [] : networkCard(door)),
    ...disk("root", join(image, "root.ext4"), "snapshot=on,cache=unsafe"),
    ...disk("project", join(image, "project.ext4"), "readonly=on,cache=unsafe"),
    ...(data === undefined ? [] : disk("data", data, "cache=unsafe,discard=unmap")),
    ...disks.flatMap(({ id }) =>
      disk(id, diskFile(folder, id), "cache=unsafe,discard=unmap,detect-zeroes=unmap"),
    ),
  ];
}

function networkCard({ port, to }: { readonly port: number; readonly to: number }): string[] {
  const network = `user,id=network,restrict=on,hostfwd=tcp:127.0.0.1:${port}-10.0.2.15:${to}`;
  return ["-netdev", network, "-device", "virtio-net-pci,netdev=network,romfile="];
}

function disk(id: string, file: string, options: string): string[] {
  const drive = `file=${file},if=none,id=${id},format=raw,${options}`;
  return ["-drive", drive, "-device", `virtio-blk-pci,drive=${id},serial=${id}`];
}
