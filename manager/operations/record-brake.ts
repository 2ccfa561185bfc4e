import { EventType, recordEvent } from "../store/events.js";
import type { Operation } from "./operation.js";

/** So many storage servers fell silent that nothing is replaced any more, or they are fewer again. */
export const recordBrake: Operation<{ readonly isOn: boolean; readonly silent: number }, void> = async (
  tx,
  { isOn, silent },
  context,
) => {
  const count = silent === 1 ? "1 storage server is" : `${silent} storage servers are`;
  const sentence = isOn
    ? `${count} silent: the fault is likely on the manager's side, so nothing is replaced automatically`
    : `${count} silent: copies are replaced automatically again`;
  await recordEvent(tx, { target: 0, targetid: 0, event: EventType.ABNORMAL, sentence }, context);
};
