import { describeError, VasError } from "../../../shared/errors.js";
import { showVolume } from "../../../shared/ids.js";
import type { Log } from "../../../shared/log.js";
import type { Milliseconds } from "../../../shared/units.js";
import { type ControlServer, serveControl } from "../../common/control-socket.js";
import { createManagerClient } from "../../common/manager-client.js";
import { ManagerPort } from "../manager-port.js";
import { type ControlledVolume, controlHandlers } from "../volume-control.js";
import { ExitCode } from "../volume-exit.js";
import { compareRegions } from "./compare-regions.js";
import type { VolumeSpec } from "./spec.js";
import { Volume } from "./volume.js";

const CALL_TIMEOUT_MS: Milliseconds = 5000;

/**
 * The process that watches over a volume: it puts it together, reports members that fail, and brings others in sync. The kernel
 * goes on without it; but what waits for the manager's word then goes on to wait.
 */
export class VolumeProcess implements ControlledVolume {
  state: "starting" | "serving" | "stopping" = "starting";
  readonly #spec: VolumeSpec;
  readonly #log: Log;
  readonly #exit: (code: number) => void;
  readonly #volume: Volume;
  readonly #ending = new AbortController();
  #control: ControlServer | undefined;
  #detaching: Promise<void> | undefined;
  #isEnding = false;

  constructor(spec: VolumeSpec, log: Log, exit: (code: number) => void) {
    this.#spec = spec;
    this.#log = log;
    this.#exit = exit;
    const { managers, lvolstruct, epoch } = spec;
    const client = createManagerClient({ managers, timeoutMs: CALL_TIMEOUT_MS });
    const ending = this.#ending.signal;
    const onFenced = (why: string): void => {
      log.error(`stopping at once: ${why}`);
      this.#end(ExitCode.FENCED);
    };
    const manager = new ManagerPort({ client, lvolid: lvolstruct.lvolid, epoch, onFenced, log, ending });
    this.#volume = new Volume({ spec, manager, log, ending });
  }

  /** @throws if the volume can't be had */
  async start(): Promise<void> {
    const { controlSocket, maintenance, lvolstruct } = this.#spec;
    this.#control = await serveControl(controlSocket, controlHandlers(this));
    await this.#volume.start();
    if (this.state !== "starting") return;
    this.state = "serving";
    const { lvolname } = lvolstruct.lvolspec;
    this.#log.info(maintenance ? `maintaining ${lvolname}` : `${lvolname} is there`);
  }

  status(): unknown {
    const { allMirrors, snapshots } = this.#volume;
    return {
      state: this.state,
      lvolstruct: this.#volume.currentTree(),
      resyncs: allMirrors.flatMap(({ mirrorid, resyncs }) =>
        [...resyncs].map(([dextid, percent]) => ({ mirrorid, dextid, percent })),
      ),
      mirrors: allMirrors.map(({ mirrorid, version, members }) => ({
        mirrorid,
        version,
        members: members.map(({ dextid, state }) => ({ dextid, state })),
      })),
      snapshots: [...snapshots.values()].map(({ node: { lvolid }, state }) => ({ lvolid, state })),
    };
  }

  replaceMember({ mirrorid, ...asked }: Parameters<ControlledVolume["replaceMember"]>[0]): Promise<number> {
    return this.#volume.mirrorOf(mirrorid).replace(asked);
  }

  compareRegions(mirrorid: number, regions: readonly number[]) {
    return compareRegions(this.#volume.mirrorOf(mirrorid), regions);
  }

  createSnapshot(node: Parameters<ControlledVolume["createSnapshot"]>[0]): Promise<void> {
    return this.#volume.createSnapshot(node);
  }

  deleteSnapshot(lvolid: number): Promise<void> {
    return this.#volume.deleteSnapshot(lvolid);
  }

  /** Flushes, takes the volume down, and ends with code 0 after this was answered. A repeated call joins the first. */
  detach(): Promise<void> {
    this.#detaching ??= this.#detach().finally(() => {
      this.#detaching = undefined;
    });
    return this.#detaching;
  }

  /** Ends, and leaves the volume as it is. */
  leave(): void {
    this.#log.info("told to end; the volume stays");
    this.#end(ExitCode.FAILED);
  }

  async #detach(): Promise<void> {
    const before = this.state;
    this.state = "stopping";
    try {
      await this.#volume.detach();
    } catch (error) {
      this.state = before;
      if (error instanceof VasError) throw error;
      const sentence = `${showVolume(this.#spec.lvolstruct.lvolid)} can't be taken down: ${describeError(error)}`;
      throw new VasError("EAGAIN", sentence, { cause: error });
    }
    // The answer to the caller goes first.
    setImmediate(() => setTimeout(() => this.#end(ExitCode.DETACHED), 20));
  }

  #end(code: number): void {
    if (this.#isEnding) return;
    this.#isEnding = true;
    this.#ending.abort();
    void (this.#control?.close() ?? Promise.resolve()).finally(() => this.#exit(code));
  }
}
