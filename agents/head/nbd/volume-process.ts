import { VasError } from "../../../shared/errors.js";
import { showVolume } from "../../../shared/ids.js";
import type { Log } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import { type ControlServer, serveControl } from "../../common/control-socket.js";
import { createManagerClient } from "../../common/manager-client.js";
import { controlHandlers } from "../volume-control.js";
import { ExitCode } from "../volume-exit.js";
import { controlledVolume } from "./control.js";
import type { ExportServer } from "./export-server.js";
import type { Mirror } from "./mirror.js";
import { type OwnedNames, publishSocket } from "./own-socket.js";
import { createVolumeServer } from "./serve-volume.js";
import { Snapshots } from "./snapshots.js";
import type { VolumeSpec } from "./spec.js";
import { Volume } from "./volume.js";

const CALL_TIMEOUT_MS: Milliseconds = 5000;
/** How long the last replies may take to leave. */
const LINGER_MS: Milliseconds = 1000;
/** Less than the time after which an init system kills. */
const TERMINATE_MS: Milliseconds = 15_000;

/** One volume and its snapshots from its start to its end: what it serves, who controls it, and how it stops. */
export class VolumeProcess {
  state: "starting" | "serving" | "stopping" = "starting";
  readonly volume: Volume;
  readonly snapshots: Snapshots;
  readonly #server: ExportServer;
  #control: ControlServer | undefined;
  #names: OwnedNames | undefined;
  #detaching: Promise<void> | undefined;
  #isEnding = false;

  constructor(
    readonly spec: VolumeSpec,
    private readonly log: Log,
    private readonly exit: (code: number) => void,
  ) {
    const client = createManagerClient({ managers: spec.managers, timeoutMs: CALL_TIMEOUT_MS });
    this.volume = new Volume({ spec, client, onFenced: (why) => this.#fenced(why), log });
    this.snapshots = new Snapshots(this.volume, spec, log);
    this.#server = createVolumeServer(spec, this.volume);
  }

  /** The mirrors of the volume, and of the copy-on-write spaces of its snapshots. */
  get mirrors(): readonly Mirror[] {
    return [...this.volume.mirrors, ...this.snapshots.mirrors];
  }

  /** Of the volume itself. */
  get clients(): number {
    return this.#server.nbd.connectionCount;
  }

  /** Serves the volume. @throws if it can't: another process has its sockets, a mirror can't be read */
  async start(): Promise<void> {
    const { spec, log } = this;
    this.#control = await serveControl(spec.controlSocket, controlHandlers(controlledVolume(this)));
    await Promise.all([this.volume.start(), this.snapshots.start()]);
    if (this.state !== "starting") return;
    if (!spec.maintenance) await this.#listen();
    this.state = "serving";
    const { lvolname } = spec.lvolstruct.lvolspec;
    log.info(spec.maintenance ? `maintaining ${lvolname}` : `serving ${lvolname} at ${spec.socket}`);
  }

  async #listen(): Promise<void> {
    const { spec } = this;
    await this.#server.nbd.listenUnix(spec.socket);
    this.#names = publishSocket(spec.socket, spec.nameLink);
    if (spec.tcp !== null) await this.#server.nbd.listenTcp(spec.tcp.host, spec.tcp.port);
    await this.snapshots.listen();
  }

  /**
   * Flushes and ends the process with code 0, after this was answered. A repeated call joins the first.
   *
   * @throws VasError EBUSY while a client is connected to the volume or a snapshot of it, EIO if the last good copy of something can't be made durable;
   * the process then ends with code 1
   */
  detach(): Promise<void> {
    if (this.#detaching === undefined) this.#assertUnused();
    this.#detaching ??= this.#finish().finally(() => {
      this.#detaching = undefined;
    });
    return this.#detaching;
  }

  /**
   * The machine is shut down: as `detach`, whoever is connected, but bounded in time. What can't be flushed by then was
   * never acknowledged as flushed, and the bitmaps name its regions.
   */
  async terminate(): Promise<void> {
    this.log.info("told to end");
    setTimeout(() => {
      this.log.error("ending without a flush: a disk or the manager did not answer in time");
      this.#end(ExitCode.FAILED);
    }, TERMINATE_MS);
    this.#detaching ??= this.#finish();
    await this.#detaching.catch((error: unknown) => {
      this.log.error({ err: error }, "ending without a flush");
      this.#end(ExitCode.FAILED);
    });
  }

  #assertUnused(): void {
    if (this.clients > 0) throw new VasError("EBUSY", `${this.clients} client(s) have the volume open`);
    const { inUse, clients } = this.snapshots;
    if (inUse === undefined) return;
    throw new VasError(
      "EBUSY",
      `${clients} client(s) have snapshots open, such as ${showVolume(inUse.lvolid)}`,
    );
  }

  async #finish(): Promise<void> {
    this.state = "stopping";
    this.#server.refuse();
    // Requests that were given are answered before the flush that is to cover them.
    await Promise.all([this.#server.nbd.close(LINGER_MS), this.snapshots.close()]);
    await this.snapshots.end();
    const errno = await this.volume.end();
    if (errno !== 0) this.log.error(`the last flush failed with errno ${errno}`);
    this.#names?.remove();
    // The answer to the caller goes first.
    setImmediate(() => setTimeout(() => this.#end(errno === 0 ? ExitCode.DETACHED : ExitCode.FAILED), 20));
    if (errno !== 0) throw new VasError("EIO", "the last good copy of a mirror could not be flushed");
  }

  #fenced(why: string): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.state = "stopping";
    this.log.error(`stopping at once: ${why}`);
    this.#server.fence();
    this.snapshots.fence();
    this.volume.stop();
    void Promise.all([this.#server.nbd.close(LINGER_MS), this.snapshots.close()]).finally(() => {
      this.#isEnding = false;
      this.#end(ExitCode.FENCED);
    });
  }

  #end(code: number): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#names?.remove();
    void (this.#control?.close() ?? Promise.resolve()).finally(() => this.exit(code));
  }
}
