import { showVolume } from "../../../shared/ids.js";
import { NbdErrno } from "../../common/nbd/protocol.js";
import type { NbdReply, NbdRequest } from "../../common/nbd/server.js";
import { createExportServer, type ExportServer } from "./export-server.js";
import type { VolumeSpec } from "./spec.js";
import type { Volume } from "./volume.js";

/** The NBD server of a volume. */
export function createVolumeServer({ lvolstruct }: VolumeSpec, volume: Volume): ExportServer {
  const { lvolname } = lvolstruct.lvolspec;
  return createExportServer({
    names: [lvolname, showVolume(lvolstruct.lvolid)],
    info: {
      size: volume.linear.size,
      description: lvolname,
      readOnly: false,
      canFlush: true,
      canFua: true,
      canTrim: true,
      canZero: true,
      multiConn: true, // a flush covers every disk, whoever wrote
    },
    request: (request, done) => dispatch(volume, request, done),
  });
}

function dispatch(volume: Volume, request: NbdRequest, done: NbdReply): void {
  const { command, offset, length } = request;
  if (command === "read") volume.linear.read(offset, length, done);
  else if (command === "flush") volume.flush().then(done, () => done(NbdErrno.EIO));
  else volume.origin.write(request, done);
}
