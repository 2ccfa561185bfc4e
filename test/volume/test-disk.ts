import { closeSync, ftruncateSync, openSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { callControl } from "../../agents/common/control-socket.js";
import { cutPower, type Fate, powerCutEnvironment } from "../harness/power-cut.js";
import { waitUntil } from "../harness/wait-until.js";
import { TestProcess } from "./test-process.js";

/** A disk in a file and the process that exports it. */
export class TestDisk {
  readonly path: string;
  readonly control: string;
  bootId = "boot-1";
  port = 0;
  /** Where volume processes find it, if that is not the export itself. */
  linkPort: number | undefined;
  process: TestProcess | undefined;
  /** Of the processes that are started from now on. */
  environment: NodeJS.ProcessEnv = {};
  #boots = 1;

  constructor(
    readonly pdskid: number,
    readonly folder: string,
    private readonly bytes: number,
    diskFolder = folder,
  ) {
    this.path = join(diskFolder, `disk-${pdskid}`);
    this.control = join(folder, `x${pdskid}`);
    this.wipe("w");
  }

  /** Makes all of it zeros, and nothing of it takes room. */
  wipe(flags = "r+"): void {
    const file = openSync(this.path, flags);
    ftruncateSync(file, 0);
    ftruncateSync(file, this.bytes);
    closeSync(file);
  }

  async start(grants: object): Promise<void> {
    if (this.port === 0) this.port = await freePort();
    const spec = join(this.folder, `export-${this.pdskid}.json`);
    const grantsFile = join(this.folder, `grants-${this.pdskid}.json`);
    writeFileSync(grantsFile, JSON.stringify(grants));
    const { pdskid, path, port, bootId, control: controlSocket } = this;
    const document = {
      pdskid,
      path,
      bytes: this.bytes,
      addresses: ["127.0.0.1"],
      port,
      bootId,
      controlSocket,
      grantsFile,
    };
    writeFileSync(spec, JSON.stringify({ ...document, logFormat: "json", logLevel: "info" }));
    const log = join(this.folder, "log");
    this.process = new TestProcess("agents/storage/nbd/export-main.js", spec, log, this.environment);
    await waitUntil(`disk ${pdskid} is exported`, () => callControl(controlSocket, "status", {}, 1000));
  }

  async kill(): Promise<void> {
    await this.process?.kill();
  }

  /** From its next start on, its server is one that was rebooted. */
  reboot(): void {
    this.#boots += 1;
    this.bootId = `boot-${this.#boots}`;
  }

  /** From its next start on, the disk can lose power. */
  journal(): void {
    this.environment = powerCutEnvironment([this.path]);
  }

  /** Its server loses power. What follows the path is as of `cutPower`. */
  async cutPower(random: (below: number) => number, fate?: Fate): Promise<ReturnType<typeof cutPower>> {
    await this.kill();
    this.reboot();
    return cutPower(this.path, random, fate);
  }
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}
