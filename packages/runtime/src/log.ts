/**
 * The log of a process: JSON lines to stderr, readable lines where stderr is a terminal (pino).
 *
 * @module
 */
import type { Fields, Log } from "@skep/contract"
import { type Logger, pino } from "pino"

export interface LogOptions {
  /** Stands in every line as `name`. */
  readonly name: string
  readonly level?: "debug" | "info" | "error" | "silent"
}

/** Writes synchronously, so that the last line before a crash is there. */
export async function openLog(options: LogOptions): Promise<Log> {
  const destination = process.stderr.isTTY
    ? (await import("pino-pretty")).default({ destination: 2, sync: true, ignore: "pid,hostname" })
    : pino.destination({ fd: 2, sync: true })
  const logger = pino(
    {
      name: options.name,
      level: options.level ?? "info",
      base: { pid: process.pid },
      timestamp: pino.stdTimeFunctions.isoTime,
    },
    destination,
  )
  return logOf(logger)
}

/** Says nothing: for tests and for one-shot commands. */
export const silentLog: Log = {
  info: () => undefined,
  debug: () => undefined,
  error: () => undefined,
}

/** A log that adds `fields` to every line. */
export function withFields(log: Log, fields: Fields): Log {
  return {
    info: (event, more) => log.info(event, { ...fields, ...more }),
    debug: (event, more) => log.debug(event, { ...fields, ...more }),
    error: (event, more) => log.error(event, { ...fields, ...more }),
  }
}

function logOf(logger: Logger): Log {
  return {
    info: (event, fields) => logger.info(fields ?? {}, event),
    debug: (event, fields) => logger.debug(fields ?? {}, event),
    error: (event, fields) => logger.error(fields ?? {}, event),
  }
}
