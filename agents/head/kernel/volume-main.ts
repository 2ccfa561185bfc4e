import { describeError } from "../../../shared/errors.js";
import { showVolume } from "../../../shared/ids.js";
import { createLog } from "../../../shared/log.js";
import { ExitCode } from "../volume-exit.js";
import { readSpec } from "./spec.js";
import { VolumeProcess } from "./volume-process.js";

/** Entry of the process that watches over a volume: `node volume-main.js SPECFILE`. */
async function main(): Promise<void> {
  const path = process.argv[2];
  if (path === undefined) throw new Error("usage: volume-main SPECFILE");
  const spec = readSpec(path);
  const log = createLog(`volume ${showVolume(spec.lvolstruct.lvolid)}`, spec.logFormat, spec.logLevel);
  const volume = new VolumeProcess(spec, log, (code) => process.exit(code));
  process.on("SIGTERM", () => volume.leave());
  // The control process may end, and its terminal with it.
  process.on("SIGHUP", () => undefined);
  process.on("SIGPIPE", () => undefined);
  try {
    await volume.start();
  } catch (error) {
    log.error({ err: error }, `can't put the volume together: ${describeError(error)}`);
    process.exit(ExitCode.FAILED);
  }
}

main().catch((error: unknown) => {
  process.stderr.write(`${describeError(error)}\n`);
  process.exit(ExitCode.FAILED);
});
