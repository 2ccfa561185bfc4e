import { extensionMethods } from "./api/extension-methods.js";
import { notificationMethods } from "./api/notification-methods.js";
import { queryMethods } from "./api/query-methods.js";
import { registrationMethods } from "./api/registration-methods.js";
import { volumeMethods } from "./api/volume-methods.js";

export type {
  Association,
  ClusterStatus,
  DiskInfo,
  EventInfo,
  HeadServerInfo,
  JobInfo,
  JobState,
  MirrorState,
  SnapshotState,
  StorageServerInfo,
  VolumeInfo,
} from "./api/answers.js";
export { extensionMethods };

/** The methods of the Vastsky API: the whole of its reference. */
export const apiMethods = {
  ...registrationMethods,
  ...volumeMethods,
  ...queryMethods,
  ...notificationMethods,
} as const;

/** Every method that takes the struct with `ver`. */
export const managerMethods = { ...apiMethods, ...extensionMethods } as const;
export type ManagerMethodName = keyof typeof managerMethods;
