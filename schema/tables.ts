import type {
  BindEvent,
  BindStatus,
  Evacuation,
  JobStatus,
  MemberStatus,
  Priority,
  SnapshotStatus,
} from "../shared/states.js";

/**
 * Row types of the state store. Booleans are 0 or 1, times are wall-clock milliseconds, sizes and offsets are GB
 * (on a disk: extent units of 1025 MiB). A row type is what the database holds, not what the rest of the manager
 * thinks in.
 */
export interface MetaRow {
  key: string;
  value: string;
}

/** Next number of each sequence: `hsvr`, `ssvr`, `pdsk`, `lvol` (volumes, mirrors and extents), `event`, `bind`, `commit`. */
export interface SequenceRow {
  name: string;
  next: number;
}

export interface HeadServerRow {
  hsvrid: number;
  priority: Priority;
  port: number;
  boot_id: string | null;
  /** It did not answer the server check; cleared when it is heard of again. */
  silent: 0 | 1;
  /** By which storage servers that export by iSCSI know it; empty if it has not registered since there is one. */
  chap_secret: string;
}

export interface StorageServerRow {
  ssvrid: number;
  priority: Priority;
  port: number;
  boot_id: string | null;
  zone: string;
  silent: 0 | 1;
  /** Declared lost by a person or a monitor: its members are replaced without waiting. */
  lost: 0 | 1;
  /** A person wants everything of it elsewhere; kept while it is out of use. */
  evacuating: Evacuation;
}

/** Data addresses of both kinds of servers; an address belongs to one server of a kind. */
export interface ServerAddressRow {
  kind: "head" | "storage";
  address: string;
  server_id: number;
  position: number;
}

export interface DiskRow {
  pdskid: number;
  ssvrid: number;
  local_path: string;
  serial: string | null;
  sectors: number;
  /** Usable gigabytes. */
  capacity: number;
  priority: Priority;
  /** Port that it is reached at. */
  nbd_port: number;
  /** Of its server, until that starts again, if the disk is reached by iSCSI; else empty. */
  iscsi_name: string;
  /** The highest extent generation given out on this disk (rule R4). */
  generation: number;
  /** Number of its rows of `bad_block`: with any, the disk comes back as LOW, not HIGH. */
  bad_blocks: number;
  /** A person wants everything of it elsewhere; kept while it is out of use. */
  evacuating: Evacuation;
}

/** A block, of the size of an extent unit, that was reported as bad. */
export interface BadBlockRow {
  pdskid: number;
  block: number;
}

/** Clean space of a disk: zeros on all of it. Adjacent ranges are merged. */
export interface FreeRangeRow {
  pdskid: number;
  offset: number;
  length: number;
}

/** Space of a disk that is not free: a member of a mirror, or (mirrorid null, NEEDSHRED) waiting for its shred. */
export interface ExtentRow {
  dextid: number;
  pdskid: number;
  offset: number;
  length: number;
  generation: number;
  mirrorid: number | null;
  status: MemberStatus;
  /** Failed resyncs in a row while its server answered. */
  failures: number;
  /** Declared failed by a person or monitor: it never comes back. */
  lost: 0 | 1;
  /**
   * The volume whose grant may still name this extent after it left its mirror: taken back before the shred. Null
   * where there is none, as on a new disk.
   */
  last_lvolid: number | null;
}

export interface VolumeRow {
  lvolid: number;
  lvolname: string;
  /** Id of the LINEAR node. */
  linearid: number;
  redundancy: number;
  capacity: number;
  /** Wall-clock creation time, milliseconds. */
  ctime: number;
  bind_status: BindStatus;
  bind_event: BindEvent;
  /** Sentence of the last failed attach or detach; empty if none. */
  bind_error: string;
  /** Head server it is attached to, or being attached to or detached from; null if none. */
  hsvrid: number | null;
  /** Number of the newest attachment; 0 if never attached. */
  epoch: number;
  /** 1 while that epoch may write: its reports are accepted. A fence or detach closes it first. */
  epoch_open: 0 | 1;
  /** Which attach of the cluster, counted from 1, made it BOUND; 0 if none has. */
  bind_number: number;
  /** Nobody asked for this attachment: a head brings copies in sync meanwhile. Users are shown, and find, it detached. */
  maintenance: 0 | 1;
  /** Version of the set of extents that the storage servers were, or must be, granted. */
  grant_version: number;
  /** The volume that this is a snapshot of; null for any other volume. */
  origin_lvolid: number | null;
  /** Id of its SNAPSHOT node, or of its SNAPSHOT-ORIGIN node; null if it never had one. */
  layerid: number | null;
  snapshot_status: SnapshotStatus;
  /** The content of the snapshot can't be had any more. */
  snapshot_lost: 0 | 1;
}

export interface MirrorRow {
  mirrorid: number;
  lvolid: number;
  /** Where it starts in the volume, GB. */
  offset: number;
  length: number;
  /** Membership version (rule R1). */
  version: number;
  /** Members were taken from it without a replacement; cleared when it has its redundancy of live members again. */
  short: 0 | 1;
  /** It was given a member beside as many as it should have; cleared when it has no more than those. */
  surplus: 0 | 1;
}

/**
 * A storage server that could not be asked to revoke a closed epoch: asked again when it is back. It may hold a grant of
 * the volume for that epoch or one before it until then.
 */
export interface UnrevokedRow {
  ssvrid: number;
  lvolid: number;
  epoch: number;
}

/** How far the comparison of a mirror's copies is. */
export interface ComparisonRow {
  mirrorid: number;
  /** GB of the mirror that the comparison under way has behind it; 0 if none is. */
  position: number;
  /** Wall-clock time at which the last one ended; 0 if none has. */
  compared_at: number;
}

/** A gigabyte of a mirror whose copies were found to differ when it was compared last. */
export interface DifferenceRow {
  mirrorid: number;
  gigabyte: number;
  /** How many regions of it differ. */
  regions: number;
  /** The first byte of the mirror in it that is not the same on all copies. */
  byte: number;
  /** Extents with the same content there, a list for each content, as JSON. */
  copies: string;
}

/** Work that the manager has to see through, written in the transaction that it follows from. */
export interface JobRow {
  jobid: number;
  kind: string;
  /** The one thing it is about: lvolid or dextid, by its kind. At most one open job of a kind per subject. */
  subject: number;
  /** Event id under which the agent knows it. */
  eventid: number;
  status: JobStatus;
  /** Where in its work it is; the handler's own word. */
  phase: string;
  /** What the handler needs besides, as JSON. */
  payload: string;
  /** Serial of the manager that runs it; null if none does. */
  holder: number | null;
  attempts: number;
  last_error: string;
  /** Not before this wall-clock time. */
  run_at: number;
  created_at: number;
  finished_at: number | null;
  /** errno name of a FAILED job's outcome; empty otherwise. */
  result: string;
  /** What it is about, for people, who may ask when that is gone: `dext-00000005 on pdsk-00000001 (10 GB)`. */
  description: string;
}

/** What happened in one instant. What takes its time is a job, and is listed with these. */
export interface EventRow {
  seq: number;
  time: number;
  eventid: number;
  target: number;
  targetid: number;
  event: number;
  event_status: number;
  sentence: string;
}

export interface Database {
  meta: MetaRow;
  sequence: SequenceRow;
  head_server: HeadServerRow;
  storage_server: StorageServerRow;
  server_address: ServerAddressRow;
  disk: DiskRow;
  bad_block: BadBlockRow;
  free_range: FreeRangeRow;
  extent: ExtentRow;
  volume: VolumeRow;
  mirror: MirrorRow;
  unrevoked: UnrevokedRow;
  comparison: ComparisonRow;
  difference: DifferenceRow;
  job: JobRow;
  event: EventRow;
}
