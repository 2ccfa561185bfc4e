import { type Logger, pino } from "pino";
import pretty from "pino-pretty";

export type Log = Logger;

/** How a process logs: JSON lines for machines, or readable lines for people. */
export type LogFormat = "json" | "pretty";

/**
 * The log of one process. Synchronous, so that the last lines before a kill or a crash are there.
 *
 * @param program which process this is, for example `manager` or `volume lvol-00000001`.
 */
export function createLog(program: string, format: LogFormat, level = "info"): Log {
  const base = { program, pid: process.pid };
  if (format === "pretty") {
    return pino(
      { level, base },
      pretty({ destination: 2, sync: true, ignore: "pid,hostname", translateTime: "HH:MM:ss.l" }),
    );
  }
  return pino(
    { level, base, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ fd: 2, sync: true }),
  );
}
