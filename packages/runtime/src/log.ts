/**
 * The log of a process: JSON lines to stderr, readable lines where stderr is a terminal (pino).
 *
 * @module
 */
import { fstatSync, ftruncateSync, writeSync } from "node:fs"
import type { Fields, Log } from "@skep/contract"
import { type DestinationStream, type Logger, pino } from "pino"

const FILE_BYTES_MAX = 4 << 20

export interface LogOptions {
  /** Stands in every line as `name`. */
  readonly name: string
  readonly level?: "debug" | "info" | "error" | "silent"
}

/** Writes synchronously, so that the last line before a crash is there. */
export async function openLog(options: LogOptions): Promise<Log> {
  const destination = process.stderr.isTTY
    ? (await import("pino-pretty")).default({ destination: 2, sync: true, ignore: "pid,hostname" })
    : stderrDestination()
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

/**
 * Stderr. Where that is a file, which nobody rotates, it begins anew beyond its bound: no guest and no failing back end can fill the disk of
 * the host with lines.
 */
function stderrDestination(): DestinationStream {
  if (!fstatSync(2).isFile()) return pino.destination({ fd: 2, sync: true })
  let bytes = fstatSync(2).size
  return {
    write: (line) => {
      bytes += Buffer.byteLength(line)
      try {
        if (bytes > FILE_BYTES_MAX) {
          ftruncateSync(2)
          bytes = Buffer.byteLength(line)
        }
        writeSync(2, line)
      } catch {
        // A full disk must not end the process that tells of it.
      }
    },
  }
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
