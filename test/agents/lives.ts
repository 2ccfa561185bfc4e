import { isAlive, recordProcess } from "../../agents/common/process-record.js";

/** Whether a process can still do anything; one that nobody waited for yet can't. */
export function lives(pid: number): boolean {
  const record = recordProcess(pid, "a process of a test");
  return record !== undefined && isAlive(record);
}
