/**
 * qemu.log: what the hypervisor writes to stdout and stderr. It writes there itself, so that it can go on when the launcher
 * dies; the bound is kept by watching the file.
 *
 * @module
 */
import {
  closeSync,
  copyFileSync,
  type FSWatcher,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  watch,
} from "node:fs"
import { describeFileError, errnoOf } from "@skep/runtime"

const BYTES_MAX = 1 << 20
const TAIL_BYTES = 4096
const TAIL_LINES = 8
/** QEMU's `-msg timestamp=on`. */
const STAMP = /^\d{4}-\d\d-\d\dT[\d:.]+Z\s*/

export interface ProcessLog extends Disposable {
  readonly fd: number
  /** The last lines since it was opened. */
  tail(): readonly string[]
}

/** Opens the log for appending; it and its predecessor `qemu.log.1` stay under 1 MiB. */
export function openProcessLog(path: string): ProcessLog {
  const fd = open(path)
  let from = fstatSync(fd).size
  const bound = (): void => {
    if (fstatSync(fd).size <= BYTES_MAX / 2) return
    tolerantly(() => copyFileSync(path, `${path}.1`)) // a full disk needs the room more than anybody the older lines
    tolerantly(() => {
      ftruncateSync(fd)
      from = 0
    })
  }
  bound()
  const watcher = watchFile(path, bound)
  let isOpen = true
  return {
    fd,
    tail: () => (isOpen ? readTail(fd, from) : []),
    [Symbol.dispose]: () => {
      if (!isOpen) return
      isOpen = false
      watcher?.close()
      closeSync(fd)
    },
  }
}

/** In a watcher's callback an error would end the launcher, which no log is worth: the next line that is written tries again. */
function tolerantly(step: () => void): void {
  try {
    step()
  } catch (error) {
    if (errnoOf(error) === undefined) throw error
  }
}

/** Where the system has no watcher left, the bound is kept at the next start only. */
function watchFile(path: string, onChange: () => void): FSWatcher | undefined {
  try {
    const watcher = watch(path, { persistent: false }, onChange)
    return watcher.on("error", () => watcher.close())
  } catch (error) {
    if (errnoOf(error) === "ENOSPC" || errnoOf(error) === "EMFILE") return undefined
    throw error
  }
}

function open(path: string): number {
  try {
    return openSync(path, "a+", 0o600)
  } catch (error) {
    throw describeFileError("write", path, error)
  }
}

function readTail(fd: number, from: number): readonly string[] {
  const { size } = fstatSync(fd)
  const start = Math.max(from, size - TAIL_BYTES)
  const buffer = Buffer.alloc(Math.max(0, size - start))
  const bytes = readSync(fd, buffer, 0, buffer.length, start)
  const lines = buffer.subarray(0, bytes).toString("utf8").split("\n")
  return lines
    .map((line) => line.replace(STAMP, "").trim())
    .filter((line) => line !== "")
    .slice(-TAIL_LINES)
}
