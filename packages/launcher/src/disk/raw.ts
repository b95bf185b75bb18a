/**
 * Raw disk images: sparse files, as large as they say and as heavy as what is written in them.
 *
 * @module
 */
import { type FileHandle, open, rm } from "node:fs/promises"
import { type ErrorCode, SidecarError } from "@skep/contract"
import { describeFileError, errnoOf } from "@skep/runtime"

/** The smallest disk that takes a file system worth having. */
export const DISK_BYTES_MIN: number = 64 << 20

/** Creates a sparse image of mode 0600. Throws "exists", "too-small", "disk-full", "permission-denied". */
export async function createDisk(path: string, bytes: number): Promise<void> {
  checkSize("create", path, bytes)
  let file: FileHandle
  try {
    file = await open(path, "wx", 0o600)
  } catch (error) {
    throw describe("create", path, error)
  }
  try {
    await file.truncate(bytes)
    await file.sync()
  } catch (error) {
    await rm(path, { force: true })
    throw describe("create", path, error)
  } finally {
    await file.close()
  }
}

/**
 * Makes an image larger and returns whether it had to. The file system inside is the guest's to grow.
 * Throws "shrink-refused", "too-small", "not-found", "disk-full", "permission-denied", and "unsupported" for what is no file.
 */
export async function growDisk(path: string, bytes: number): Promise<boolean> {
  checkSize("grow", path, bytes)
  try {
    await using file = await open(path, "r+")
    const now = await file.stat()
    if (!now.isFile())
      throw new SidecarError("unsupported", `Cannot grow the disk "${path}": it is not a regular file`)
    if (bytes < now.size) {
      throw new SidecarError(
        "shrink-refused",
        `Cannot make the disk "${path}" ${mebibytes(bytes)} MiB: it has ${mebibytes(now.size)} MiB, and data may be at its end`,
        { next: "Keep its size, or make a new machine with a smaller disk" },
      )
    }
    if (bytes === now.size) return false
    await file.truncate(bytes)
    await file.sync()
    return true
  } catch (error) {
    throw describe("grow", path, error)
  }
}

function checkSize(verb: string, path: string, bytes: number): void {
  if (!Number.isSafeInteger(bytes)) {
    throw new SidecarError("bad-options", `Cannot ${verb} the disk "${path}": ${bytes} is no number of bytes`)
  }
  if (bytes >= DISK_BYTES_MIN) return
  throw new SidecarError(
    "too-small",
    `Cannot ${verb} the disk "${path}": ${mebibytes(bytes)} MiB is too small, it needs ${mebibytes(DISK_BYTES_MIN)} MiB`,
  )
}

function describe(verb: string, path: string, error: unknown): unknown {
  const code = errnoOf(error)
  const why = code === undefined ? undefined : REASONS[code]
  if (why === undefined) return describeFileError(`${verb} the disk`, path, error)
  return new SidecarError(why.code, `Cannot ${verb} the disk "${path}": ${why.reason}`, { cause: error })
}

const REASONS: Readonly<Record<string, { readonly code: ErrorCode; readonly reason: string }>> = {
  ENOENT: { code: "not-found", reason: "there is no such file or directory" },
  EISDIR: { code: "unsupported", reason: "it is not a regular file" },
  EFBIG: { code: "disk-full", reason: "the file system takes no file that large" },
}

function mebibytes(bytes: number): number {
  return Math.floor(bytes / (1 << 20))
}
