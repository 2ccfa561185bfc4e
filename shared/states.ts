/**
 * The states of everything that has one, as the wire and the database spell them, and the transitions between them.
 * A status column is written in no other way than along an arrow of this table.
 */

/** XML-RPC protocol version of the Vastsky 3.0 API. */
export const XMLRPC_VERSION = 5;

/** Allocation priority of servers and disks; only HIGH ones get new extents. */
export const Priority = { HIGH: 1, LOW: 2, EVACUATE: 3, OFFLINE: 4, FAULTY: 5, HALT: 6 } as const;
export type Priority = (typeof Priority)[keyof typeof Priority];

/** As sentences spell it. */
export const priorityName = (priority: Priority): string =>
  Object.entries(Priority).find(([, value]) => value === priority)?.[0] ?? String(priority);

/** How far a person's wish to have everything of a disk or storage server elsewhere is. EMPTY: nothing is left, as was told. */
export const Evacuation = { NONE: 0, UNDER_WAY: 1, EMPTY: 2 } as const;
export type Evacuation = (typeof Evacuation)[keyof typeof Evacuation];

/**
 * What a disk extent holds for its mirror. ALLOCATED: never written. INSYNC: the mirror's content. SPARE: to be
 * resynced. FAULTY: out of use, kept until the mirror is whole again, or has no other place for what makes it so.
 * NEEDSHRED: belongs to no mirror any more and holds old bytes; shown as ALLOCATED on the wire.
 */
export const MemberStatus = { ALLOCATED: 1, INSYNC: 2, SPARE: 3, FAULTY: 4, NEEDSHRED: 5 } as const;
export type MemberStatus = (typeof MemberStatus)[keyof typeof MemberStatus];

/** Whether a volume is a block device on a head server. ERROR: an attach failed half-way; a detach clears it. */
export const BindStatus = { UNBOUND: 0, BOUND: 1, ERROR: 2 } as const;
export type BindStatus = (typeof BindStatus)[keyof typeof BindStatus];

/** What is being done to a volume's binding right now. */
export const BindEvent = { NONE: 0, BINDING: 1, UNBINDING: 2 } as const;
export type BindEvent = (typeof BindEvent)[keyof typeof BindEvent];

/**
 * What a snapshot is, NONE for any other volume. CREATING: its head is being asked to take it. READY: it holds the content
 * of its instant, unless that was lost since. DELETING: its head is being asked to end it.
 */
export const SnapshotStatus = { NONE: 0, CREATING: 1, READY: 2, DELETING: 3 } as const;
export type SnapshotStatus = (typeof SnapshotStatus)[keyof typeof SnapshotStatus];

/** What notifyFailure can be about. LVOL means a disk extent. */
export const FailureTarget = { HSVR: 1, SSVR: 2, PDSK: 3, LVOL: 4 } as const;
export type FailureTarget = (typeof FailureTarget)[keyof typeof FailureTarget];

/** Status of a piece of work that an agent does under an event id. */
export const EventStatus = { NONE: 0, PENDING: 1, PROGRESS: 2, DONE: 3, CANCELED: 4, ERROR: 5 } as const;
export type EventStatus = (typeof EventStatus)[keyof typeof EventStatus];

/** `lvoltype` of a node of the layout tree. */
export const VolumeType = {
  LVOL: 0,
  LINEAR: 1,
  MIRROR: 2,
  DEXT: 3,
  SNAPSHOT_ORIGIN: 6,
  SNAPSHOT: 7,
} as const;
export type VolumeType = (typeof VolumeType)[keyof typeof VolumeType];

/** Status of a job of the manager. */
export const JobStatus = { PENDING: 1, RUNNING: 2, DONE: 3, CANCELED: 4, FAILED: 5 } as const;
export type JobStatus = (typeof JobStatus)[keyof typeof JobStatus];

/** One arrow: who may move a thing from one state to another, and when. */
export interface Transition {
  readonly from: string;
  readonly to: string;
  readonly owner: string;
  readonly when: string;
}

const arrow = (from: string, to: string, owner: string, when: string): Transition => ({
  from,
  to,
  owner,
  when,
});

/** The arrows of each thing; the diagrams in docs/states.md are generated from this table. */
export const transitions = {
  member: [
    arrow(
      "(new)",
      "ALLOCATED",
      "allocate-volume, heal-mirror",
      "space is set aside, never written for its volume",
    ),
    arrow("(new)", "SPARE", "heal-mirror", "space is set aside for a replacement"),
    arrow("(new)", "NEEDSHRED", "register-physical-disk", "the space of a new disk counts as written"),
    arrow(
      "ALLOCATED",
      "INSYNC",
      "begin-attach, create-snapshot",
      "before the first grant of its volume's life",
    ),
    arrow("ALLOCATED", "FREE", "delete-volume, heal-mirror", "it was never attached, so never written"),
    arrow("INSYNC", "SPARE", "report-member, drop-unasked-members", "it missed, or may miss, a write"),
    arrow(
      "INSYNC",
      "FAULTY",
      "heal-mirror, notify-failure, notify-bad-blocks",
      "it or its disk is lost, the volume detached, and a sound copy left",
    ),
    arrow(
      "INSYNC",
      "FAULTY",
      "drop-surplus-members, heal-mirror",
      "the volume is detached and has more copies than it should, or it was evacuated",
    ),
    arrow("SPARE", "INSYNC", "report-member", "its head copied what it lacked"),
    arrow(
      "SPARE",
      "FAULTY",
      "heal-mirror",
      "it will not come back, another has taken its place, or it is not needed",
    ),
    arrow("INSYNC", "NEEDSHRED", "delete-volume, end-snapshot", "the volume or snapshot is deleted"),
    arrow("SPARE", "NEEDSHRED", "delete-volume, end-snapshot", "the volume or snapshot is deleted"),
    arrow(
      "FAULTY",
      "NEEDSHRED",
      "delete-volume, end-snapshot, heal-mirror",
      "the mirror is whole again or deleted, or there is no room for another member",
    ),
    arrow("NEEDSHRED", "FREE", "shred-extent", "zeros are durable on all of it"),
    arrow(
      "ALLOCATED",
      "GONE",
      "delete-physical-disk, delete-storage-server",
      "its disk is deleted, and another member is left",
    ),
    arrow(
      "INSYNC",
      "GONE",
      "delete-physical-disk, delete-storage-server",
      "its disk is deleted, the volume detached, and another good copy left",
    ),
    arrow("SPARE", "GONE", "delete-physical-disk, delete-storage-server", "its disk is deleted"),
    arrow("FAULTY", "GONE", "delete-physical-disk, delete-storage-server", "its disk is deleted"),
    arrow("NEEDSHRED", "GONE", "delete-physical-disk, delete-storage-server", "its disk is deleted"),
  ],
  snapshot: [
    arrow("(new)", "CREATING", "create-snapshot", "the volume is attached: its head takes the snapshot"),
    arrow("(new)", "READY", "create-snapshot", "the volume is detached: nothing writes to it now"),
    arrow("CREATING", "READY", "end-snapshot", "the head has taken it"),
    arrow("CREATING", "GONE", "end-snapshot", "it was undone"),
    arrow("READY", "DELETING", "delete-volume", "the volume is attached: its head ends the snapshot"),
    arrow("READY", "GONE", "delete-volume", "the volume is detached"),
    arrow("DELETING", "READY", "end-snapshot, steer-job", "a client uses it, or its deletion was cancelled"),
    arrow("DELETING", "GONE", "end-snapshot", "no head uses it any more"),
  ],
  binding: [
    arrow("UNBOUND", "BINDING", "begin-attach", "attachLogicalVolume"),
    arrow(
      "UNBOUND",
      "BINDING",
      "begin-maintenance",
      "its copies need a head; users are shown it UNBOUND until it ends",
    ),
    arrow("BINDING", "BOUND", "end-attach", "the head serves the volume"),
    arrow(
      "BINDING",
      "UNBOUND",
      "end-maintenance",
      "it was for maintenance, and failed, or a user wants the volume",
    ),
    arrow(
      "BOUND",
      "UNBOUND",
      "end-maintenance",
      "it was for maintenance, and nothing is left to do, or a user wants the volume",
    ),
    arrow("BINDING", "ERROR", "end-attach", "the head reported an error; the epoch is closed"),
    arrow("BINDING", "UNBOUND", "end-attach", "the attach was undone and its epoch revoked"),
    arrow("BINDING", "UNBINDING", "fence-volume", "the head is fenced during the attach"),
    arrow("BOUND", "UNBINDING", "begin-detach, fence-volume", "detachLogicalVolume, or the head is fenced"),
    arrow("ERROR", "UNBINDING", "begin-detach, fence-volume", "detachLogicalVolume, or the head is fenced"),
    arrow(
      "UNBINDING",
      "BOUND",
      "end-detach, steer-job",
      "the device is in use, the head can't be asked, or it was cancelled",
    ),
    arrow("UNBINDING", "ERROR", "end-detach, steer-job", "as before, after a failed attach"),
    arrow("UNBINDING", "UNBOUND", "end-detach", "the head confirmed, or the epoch is revoked"),
  ],
  job: [
    arrow(
      "(new)",
      "PENDING",
      "begin-attach, begin-detach, begin-maintenance, create-snapshot, delete-volume, end-maintenance, fence-volume, heal-mirror, shred-extent",
      "what follows from the commit",
    ),
    arrow("PENDING", "RUNNING", "claim-jobs", "its time has come and its limits allow it"),
    arrow(
      "RUNNING",
      "PENDING",
      "claim-jobs, resync-member, steer-job",
      "an attempt failed, its holder died, or a person gave it up",
    ),
    arrow(
      "RUNNING",
      "DONE",
      "end-attach, end-detach, end-maintenance, end-snapshot, resync-member, shred-extent",
      "it did what it was for",
    ),
    arrow(
      "RUNNING",
      "FAILED",
      "end-attach, end-detach, end-maintenance, end-snapshot",
      "it was undone and says why",
    ),
    arrow(
      "PENDING",
      "CANCELED",
      "fence-volume, end-detach, end-maintenance, end-snapshot, heal-mirror, delete-volume, shred-extent, delete-physical-disk, delete-storage-server, shutdown-all, steer-job",
      "what it was for is gone, or a person cancelled it",
    ),
    arrow(
      "RUNNING",
      "CANCELED",
      "fence-volume, end-detach, end-maintenance, end-snapshot, heal-mirror, delete-volume, claim-jobs, shred-extent, delete-physical-disk, delete-storage-server, shutdown-all, steer-job",
      "what it was for is gone, or a person cancelled it",
    ),
  ],
} as const satisfies Record<string, readonly Transition[]>;
