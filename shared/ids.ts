/**
 * Identifiers of the cluster's resources. Head servers, storage servers and disks each have a sequence of their own;
 * volumes, mirrors and extents share one. No id is ever used again.
 */
declare const brand: unique symbol;
type Id<Name extends string> = number & { readonly [brand]?: Name };

export type HeadServerId = Id<"hsvrid">;
export type StorageServerId = Id<"ssvrid">;
export type DiskId = Id<"pdskid">;
export type VolumeId = Id<"lvolid">;
export type MirrorId = Id<"mirrorid">;
export type ExtentId = Id<"dextid">;
export type EventId = Id<"eventid">;
export type JobId = Id<"jobid">;

/** The largest resource id. */
export const MAX_ID = 0x7fff_ffff;
/** Event ids run from 1 to this and then from 1 again. */
export const MAX_EVENT_ID = 1_048_576;

const hex8 = (id: number): string => id.toString(16).padStart(8, "0");

export const showHeadServer = (id: HeadServerId): string => `hsvr-${hex8(id)}`;
export const showStorageServer = (id: StorageServerId): string => `ssvr-${hex8(id)}`;
export const showDisk = (id: DiskId): string => `pdsk-${hex8(id)}`;
export const showVolume = (id: VolumeId): string => `lvol-${hex8(id)}`;
export const showMirror = (id: MirrorId): string => `mirr-${hex8(id)}`;
export const showExtent = (id: ExtentId): string => `dext-${hex8(id)}`;

/**
 * Reads an id as a person types it: `hsvr-0000000a`, with the prefix given, or the eight hex digits alone.
 *
 * @returns undefined if the text is not of that form, so that it can be taken for a name.
 */
export function parseShownId(prefix: string, text: string): number | undefined {
  const digits = text.startsWith(`${prefix}-`) ? text.slice(prefix.length + 1) : text;
  if (!/^[0-9a-f]{8}$/i.test(digits)) return undefined;
  const id = Number.parseInt(digits, 16);
  return id >= 1 && id <= MAX_ID ? id : undefined;
}
