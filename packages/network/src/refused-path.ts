/**
 * What the system refuses of a path that somebody named, as one sentence with a code, and a next step that holds for whoever named it: on a command
 * line, in a file, by a call.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { checkSocketPath, describeFileError, errnoOf } from "@skep/runtime"

const REASONS: Readonly<Record<string, string>> = {
  EINVAL: "that place takes no such file",
  EISDIR: "it is a directory",
  ELOOP: "its links lead nowhere",
  ENAMETOOLONG: "its name is too long",
  ENOENT: "its directory is not there",
  ENXIO: "nobody reads that pipe, or it is a socket",
}

/** "bad-options" where the path itself is wrong, else as `describeFileError` has it. What is no error of a file system is returned as it was. */
export function refusedPath(doing: string, path: string, error: unknown, next: string): unknown {
  const reason = REASONS[errnoOf(error) ?? ""]
  if (reason !== undefined)
    return new SidecarError("bad-options", `Cannot ${doing} "${path}": ${reason}`, { cause: error, next })
  return withNext(describeFileError(doing, path, error), next)
}

/** The same refusal with another next step; a full disk is one everywhere. */
export function withNext(error: unknown, next: string): unknown {
  if (!(error instanceof SidecarError) || error.code === "disk-full") return error
  const { code, message, cause, detail } = error
  return new SidecarError(code, message, { cause: cause ?? error, detail, next })
}

/** Throws "path-too-long" for a socket that could not be bound. */
export function checkSocket(path: string): void {
  try {
    checkSocketPath(path)
  } catch (error) {
    throw withNext(error, "Choose a directory with a shorter path")
  }
}
