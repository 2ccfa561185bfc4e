import { setMaxListeners } from "node:events";
import { describeError, errorRegistry, VasError } from "../../shared/errors.js";
import type { Log } from "../../shared/log.js";
import type { EventProgress, EventReport } from "../../shared/methods/agent-methods.js";
import { EventStatus } from "../../shared/states.js";
import type { Milliseconds } from "../../shared/units.js";
import { pause } from "./pause.js";

/** What work under an event id is given. */
export interface EventWork {
  /** Tells how far it is, in percent. */
  readonly progress: (percent: number) => void;
  /** Aborted when the agent stops. */
  readonly signal: AbortSignal;
}

interface Event {
  readonly subject: string;
  status: EventStatus;
  result: number;
  sentence: string;
  progress: number;
  /** Aborted when the event has ended, for those who wait. */
  readonly ended: AbortController;
}

/** Finished events that nobody asked for yet; a manager that comes later than that is told NONE and starts again. */
const MAX_FINISHED = 4096;

const NOTHING: EventProgress = { status: EventStatus.NONE, result: 0, sentence: "", progress: -1 };

/**
 * Work that goes on after its call was answered, known by an event id that the manager chose.
 *
 * Invariant: work is started once as long as its event is known. Ids come again after a million events, so an id stands
 * for its subject too: an ended event of another subject gives way, and is never taken for the new one.
 */
export class Events {
  readonly #events = new Map<number, Event>();
  readonly #stopping = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(private readonly log: Log) {
    // All work that is under way listens; what has ended does not.
    setMaxListeners(0, this.#stopping.signal);
  }

  /**
   * Starts work, or does nothing if the event is known.
   *
   * @param subject what it is, the same for the same work only: `attach lvol-00000001 epoch 3`
   * @throws VasError EINVAL if other work runs under this id
   */
  start(eventid: number, subject: string, work: (given: EventWork) => Promise<void>): void {
    const known = this.#events.get(eventid);
    if (known?.subject === subject) return;
    if (known !== undefined && known.status === EventStatus.PROGRESS) {
      throw new VasError("EINVAL", `event ${eventid} is "${known.subject}", which is not over`);
    }
    const event: Event = {
      subject,
      status: EventStatus.PROGRESS,
      result: 0,
      sentence: "",
      progress: -1,
      ended: new AbortController(),
    };
    this.#events.delete(eventid);
    this.#events.set(eventid, event);
    const run = this.#run(eventid, event, work).finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  /** Whether `start` would do nothing, since just this was started before. */
  knows(eventid: number, subject: string): boolean {
    return this.#events.get(eventid)?.subject === subject;
  }

  /** Tells an ended event once, and forgets it. */
  tell(eventid: number): EventReport {
    const event = this.#events.get(eventid);
    if (event === undefined) return [EventStatus.NONE, 0];
    if (event.status !== EventStatus.PROGRESS) this.#events.delete(eventid);
    return [event.status, event.result];
  }

  /** Waits for the end of an event, or for the time-out, and tells what then holds. Forgets nothing. */
  async wait(eventid: number, timeoutMs: Milliseconds): Promise<EventProgress> {
    const event = this.#events.get(eventid);
    if (event === undefined) return NOTHING;
    if (!this.#stopping.signal.aborted) await pause(timeoutMs, event.ended.signal);
    const { status, result, sentence, progress } = event;
    return { status, result, sentence, progress };
  }

  /** Tells all work to stop, and waits until it has. */
  async stop(): Promise<void> {
    this.#stopping.abort();
    await Promise.all(this.#running);
  }

  async #run(eventid: number, event: Event, work: (given: EventWork) => Promise<void>): Promise<void> {
    const progress = (percent: number): void => {
      event.progress = Math.max(0, Math.min(100, Math.floor(percent)));
    };
    try {
      await work({ progress, signal: this.#stopping.signal });
      event.progress = 100;
      event.status = EventStatus.DONE;
      this.log.info({ eventid }, `${event.subject}: done`);
    } catch (error) {
      event.status = EventStatus.ERROR;
      event.result = error instanceof VasError ? error.code : errorRegistry.EIO.code;
      event.sentence = error instanceof VasError ? error.sentence : describeError(error);
      this.log.warn({ eventid, err: error }, `${event.subject}: ${event.sentence}`);
    }
    event.ended.abort();
    this.#forgetOldest();
  }

  #forgetOldest(): void {
    if (this.#events.size <= MAX_FINISHED) return;
    for (const [eventid, event] of this.#events) {
      if (event.status === EventStatus.PROGRESS) continue;
      this.#events.delete(eventid);
      if (this.#events.size <= MAX_FINISHED) return;
    }
  }
}
