/**
 * What the system says of a lease file, as one sentence.
 *
 * @module
 */
import { type ErrorCode, SidecarError } from "@skep/contract"
import { describeFileError, errnoOf } from "@skep/runtime/files"

const REASONS: Readonly<Record<string, readonly [ErrorCode, string, string]>> = {
  ENOENT: [
    "not-found",
    "there is no such file",
    "A server that never gave an address has none: nothing is to be done",
  ],
  EACCES: ["permission-denied", "only root may do that", "Run it with sudo"],
  EPERM: ["permission-denied", "only root may do that", "Run it with sudo"],
  EROFS: ["permission-denied", "its file system is read-only", "Mount it writable first"],
  EISDIR: ["unsupported", "it is a directory", "Name the file in it"],
  ELOOP: ["unsupported", "its symbolic links go round in circles", "Mend the links"],
  EBUSY: [
    "unsupported",
    "it is a mount point of its own, and cannot be replaced",
    "Change it where it is mounted from",
  ],
  ENXIO: ["unsupported", "it is no regular file", "Name a file"],
}

/** Turns an error of the file system into one of ours; others stay as they are. */
export function refusedFile(action: string, path: string, error: unknown): unknown {
  if (error instanceof SidecarError) return error
  const errno = errnoOf(error)
  const known = errno === undefined ? undefined : REASONS[errno]
  if (known === undefined) return describeFileError(action, path, error)
  const [code, reason, next] = known
  return new SidecarError(code, `Cannot ${action} "${path}": ${reason} (${errno})`, { cause: error, next })
}
