import { type ChildProcess, spawn } from "node:child_process";
import {
  closeSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { callControl } from "../../agents/common/control-socket.js";
import { connectNbd, type NbdClient } from "../../agents/common/nbd/client.js";
import { waitUntil } from "../harness/wait-until.js";

const ENTRY = new URL("../../dist/agents/storage/nbd/export-main.js", import.meta.url).pathname;
export const PDSKID = 0x2a;

export interface Grant {
  readonly lvolid: number;
  readonly epoch: number;
  readonly extents: readonly { readonly start: number; readonly end: number; readonly dextid: number }[];
}
export interface Grants {
  readonly grants: readonly Grant[];
  readonly revoked: readonly { readonly lvolid: number; readonly epoch: number }[];
}

interface Status {
  readonly pid: number;
  readonly pdskid: number;
  readonly broken: boolean;
  readonly connections: readonly {
    readonly lvolid: number;
    readonly epoch: number;
    readonly incarnation: number;
  }[];
}

/** A real export process over a sparse file, in a folder of its own. */
export class ExportUnderTest {
  readonly folder = mkdtempSync(join(tmpdir(), "vas-export-"));
  readonly disk = join(this.folder, "disk");
  readonly #control = join(this.folder, "ctl");
  readonly bytes: number;
  port = 0;
  child: ChildProcess | undefined;
  errors = "";

  constructor(bytes: number) {
    this.bytes = bytes;
    writeFileSync(this.disk, "");
    truncateSync(this.disk, bytes);
  }

  /** Starts it and waits until it serves. */
  async start(grants: Grants, changes: object = {}): Promise<void> {
    this.port ||= await freePort();
    const child = this.launch(grants, changes);
    await waitUntil("the export answers", () => {
      if (child.exitCode !== null) throw new Error(this.errors);
      return this.status();
    });
  }

  launch(grants: Grants, changes: object = {}): ChildProcess {
    writeFileSync(join(this.folder, "grants"), JSON.stringify(grants));
    const spec = {
      pdskid: PDSKID,
      path: this.disk,
      bytes: this.bytes,
      addresses: ["127.0.0.1"],
      port: this.port,
      bootId: "first-boot",
      controlSocket: this.#control,
      grantsFile: join(this.folder, "grants"),
      logFormat: "json",
      logLevel: "fatal",
      ...changes,
    };
    const path = join(this.folder, "spec");
    writeFileSync(path, JSON.stringify(spec));
    this.errors = "";
    const child = spawn(process.execPath, [ENTRY, path], { stdio: ["ignore", "ignore", "pipe"] });
    child.stderr?.on("data", (text: Buffer) => {
      this.errors += text;
    });
    this.child = child;
    return child;
  }

  /** @returns the exit code */
  ended(): Promise<number | null> {
    const { child } = this;
    return new Promise((resolve) => {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null)
        resolve(child?.exitCode ?? null);
      else child.once("close", resolve);
    });
  }

  async kill9(): Promise<void> {
    this.child?.kill("SIGKILL");
    await this.ended();
  }

  async status(): Promise<Status> {
    return (await this.call("status")) as Status;
  }

  call(method: string, params: object = {}): Promise<unknown> {
    return callControl(this.#control, method, params, 60_000);
  }

  /** @param claim what follows the disk's name */
  connect(
    claim: string,
    onClose: (reason: Error) => void = () => undefined,
    disk = "pdsk-0000002a",
  ): Promise<NbdClient> {
    return connectNbd({ host: "127.0.0.1", port: this.port }, `${disk}${claim}`, {
      timeoutMs: 60_000,
      onClose,
    });
  }

  /** What the file holds, behind the back of the process. */
  fileBytes(offset: number, length: number): Buffer {
    const file = openSync(this.disk, "r");
    const buffer = Buffer.alloc(length);
    readSync(file, buffer, 0, length, offset);
    closeSync(file);
    return buffer;
  }

  /** Room that the file takes on its file system, in bytes. */
  allocated(): number {
    return statSync(this.disk).blocks * 512;
  }

  async remove(): Promise<void> {
    await this.kill9();
    rmSync(this.folder, { recursive: true });
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
