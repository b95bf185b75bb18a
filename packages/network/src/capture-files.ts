/**
 * The files of captures, written here so that the loop thread never waits for a disk.
 *
 * ```
 *  loop thread ── capture-bytes ──► take: one write after the other ──► file
 *              ◄── captureWritten ── room for as much more
 * ```
 *
 * @module
 */
import { constants } from "node:fs"
import { type FileHandle, open } from "node:fs/promises"
import { SidecarError } from "@skep/contract"
import { refusedPath } from "./refused-path.ts"
import type { ThreadCalls, ThreadNotice } from "./thread/calls.ts"

const OWNER_ONLY = 0o600
/** To open a pipe that nobody reads would wait for a reader, open(2). */
const AT_ONCE = constants.O_WRONLY | constants.O_CREAT | constants.O_NONBLOCK

type Bytes = ThreadNotice & { readonly type: "capture-bytes" }

interface CaptureFile {
  readonly path: string
  readonly handle: FileHandle
  /** Everything that was taken is written, and the file closed where its end has come. Never rejects. */
  written: Promise<void>
  failed: boolean
  ending: boolean
  /** What was there before is gone: with the first bytes, since a capture that is refused leaves it. */
  begun: boolean
}

/** Disposing it writes what was taken and closes all files. */
export class CaptureFiles implements AsyncDisposable {
  readonly #files = new Map<number, CaptureFile>()
  /** Tells the thread what became of bytes. */
  readonly #tell: (written: Parameters<ThreadCalls["captureWritten"]>[0]) => void
  #last = 0

  constructor(tell: (written: Parameters<ThreadCalls["captureWritten"]>[0]) => void) {
    this.#tell = tell
  }

  /**
   * Opens a file, or a pipe that somebody reads: its number. A file that is made is for its owner only; what another one has stays until bytes come.
   * Throws "busy" where a capture is being written there, and what the system refuses, as a SidecarError.
   */
  async open(path: string): Promise<number> {
    if ([...this.#files.values()].some((each) => each.path === path && !each.ending))
      throw new SidecarError("busy", `Cannot capture to "${path}": a capture is written there`)
    await this.ended()
    try {
      const handle = await opened(path)
      const file = ++this.#last
      this.#files.set(file, {
        path,
        handle,
        written: Promise.resolve(),
        failed: false,
        ending: false,
        begun: false,
      })
      return file
    } catch (error) {
      throw refusedPath("capture to", path, error, "Choose another file")
    }
  }

  /** Takes bytes for a file, and its end. Returns at once. */
  take({ file, bytes, last }: Pick<Bytes, "bytes" | "file" | "last">): void {
    const found = this.#files.get(file)
    if (found === undefined || found.ending) return
    found.ending = last
    found.written = found.written.then(() => this.#write(file, found, bytes))
    if (last) found.written = found.written.then(() => this.#close(file, found))
  }

  /** Fulfils when all files whose end has come are whole. */
  async ended(): Promise<void> {
    await Promise.all([...this.#files.values()].filter(({ ending }) => ending).map(({ written }) => written))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const file of this.#files.keys()) this.take({ file, bytes: new Uint8Array(0), last: true })
    await this.ended()
  }

  async #write(file: number, found: CaptureFile, bytes: Uint8Array): Promise<void> {
    if (found.failed || bytes.length === 0) return
    try {
      if (!found.begun && (await found.handle.stat()).isFile()) await found.handle.truncate()
      found.begun = true
      for (let done = 0; done < bytes.length; ) done += (await found.handle.write(bytes, done)).bytesWritten
      this.#tell({ file, bytes: bytes.length })
    } catch (error) {
      found.failed = true
      this.#tell({ file, bytes: 0, error: error instanceof Error ? error.message : String(error) })
    }
  }

  async #close(file: number, found: CaptureFile): Promise<void> {
    this.#files.delete(file)
    try {
      await found.handle.close()
    } catch (error) {
      this.#tell({ file, bytes: 0, error: String(error) })
    }
  }
}

async function opened(path: string): Promise<FileHandle> {
  const handle = await open(path, AT_ONCE, OWNER_ONLY)
  if (!(await handle.stat()).isFIFO()) return handle
  try {
    // Its reader is there; from now on it is waited for.
    return await open(path, "w")
  } finally {
    await handle.close()
  }
}
