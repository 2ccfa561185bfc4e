import { VasError } from "../../shared/errors.js";
import { showHeadServer, showVolume } from "../../shared/ids.js";
import { BindEvent, BindStatus } from "../../shared/states.js";

/** Pure rules: may it be done to this volume now, and if not, why. */
interface Named {
  readonly lvolid: number;
  readonly lvolname: string;
}
export interface Binding extends Named {
  readonly bind_status: BindStatus;
  readonly bind_event: BindEvent;
  readonly hsvrid: number | null;
}
interface AttachedBinding extends Pick<Binding, "bind_status" | "bind_event" | "hsvrid"> {
  readonly maintenance: 0 | 1;
}
interface Epoch extends Named {
  readonly epoch: number;
  readonly epoch_open: 0 | 1;
}

/** A volume as error sentences name it. */
export function nameVolume(volume: Named): string {
  return `volume ${volume.lvolname} (${showVolume(volume.lvolid)})`;
}

/** A few of many names, for a sentence. */
export function nameSome(names: readonly string[]): string {
  const few = [...new Set(names)];
  return `${few.slice(0, 5).join(", ")}${few.length > 5 ? " and others" : ""}`;
}

function bindingSentence(volume: Binding): string {
  const head = volume.hsvrid === null ? "a head server" : showHeadServer(volume.hsvrid);
  if (volume.bind_event === BindEvent.BINDING) return `is being attached to ${head}`;
  if (volume.bind_event === BindEvent.UNBINDING) return `is being detached from ${head}`;
  if (volume.bind_status === BindStatus.ERROR)
    return `had a failed attach to ${head}; detach it to clear that`;
  return `is attached to ${head}`;
}

/** A volume's binding as users are shown it: what happens for maintenance is none of theirs. */
export function shownBinding(volume: AttachedBinding): Omit<AttachedBinding, "maintenance"> {
  if (volume.maintenance === 0) return volume;
  return { bind_status: BindStatus.UNBOUND, bind_event: BindEvent.NONE, hsvrid: null };
}

/** @throws VasError EBUSY unless the volume is attached nowhere. */
export function assertUnbound(volume: Binding): void {
  if (volume.bind_status === BindStatus.UNBOUND && volume.bind_event === BindEvent.NONE) return;
  throw new VasError("EBUSY", `${nameVolume(volume)} ${bindingSentence(volume)}`);
}

/** @throws VasError EBUSY if any volume is attached, or on its way to or from a head server. */
export function assertAllUnbound(volumes: readonly Binding[]): void {
  const bound = volumes.filter(({ hsvrid }) => hsvrid !== null);
  if (bound.length === 0) return;
  const which = nameSome(bound.map((volume) => `${nameVolume(volume)} ${bindingSentence(volume)}`));
  throw new VasError("EBUSY", `${which}; detach all volumes first`);
}

/**
 * @returns false if there is nothing to detach.
 * @throws VasError EAGAIN while it is being attached or detached.
 */
export function mayDetach(volume: Binding): boolean {
  if (volume.bind_event !== BindEvent.NONE)
    throw new VasError("EAGAIN", `${nameVolume(volume)} ${bindingSentence(volume)}`);
  return volume.bind_status !== BindStatus.UNBOUND;
}

/** @throws VasError ESTALE unless `epoch` is the volume's newest and may still write. */
export function assertOpenEpoch(volume: Epoch, epoch: number): void {
  if (volume.epoch === epoch && volume.epoch_open === 1) return;
  throw new VasError(
    "ESTALE",
    `epoch ${epoch} of ${nameVolume(volume)} is closed; the newest is ${volume.epoch}`,
  );
}
