/**
 * Cases of POSIX as text: steps that the program in `program` runs, each with its result, or without one where a local file system shows what it is.
 *
 * ```
 *   mkdir d 0755 = 0
 *   @1000:1000 unlink d/f = EACCES
 * ```
 *
 * @module
 */

export interface Step {
  readonly line: string
  /** What every file system has to say; undefined where that of the machine itself is asked. */
  readonly expected: string | undefined
}

export interface PosixCase {
  readonly name: string
  readonly steps: readonly Step[]
}

const RESULT = " = "

/** Steps are lines; empty ones and those that begin with # are left out. */
export function posix(name: string, text: string): PosixCase {
  const lines = text
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#"))
  return { name, steps: lines.map(stepOf) }
}

function stepOf(text: string): Step {
  const at = text.lastIndexOf(RESULT)
  if (at < 0) return { line: text, expected: undefined }
  return { line: text.slice(0, at), expected: text.slice(at + RESULT.length) }
}

export const TYPES = ["file", "directory", "fifo", "block", "character", "socket", "symlink"] as const
export type FileType = (typeof TYPES)[number]
export const NOT_DIRECTORIES = TYPES.filter((type) => type !== "directory")
/** A path through a symbolic link goes where that leads. */
export const NOT_WALKED = NOT_DIRECTORIES.filter((type) => type !== "symlink")

/** The step that makes one of this type. */
export function make(type: FileType, name: string): string {
  switch (type) {
    case "file":
      return `create ${name} 0644`
    case "directory":
      return `mkdir ${name} 0755`
    case "fifo":
      return `mkfifo ${name} 0644`
    case "block":
      return `mknod ${name} b 0644 1 2`
    case "character":
      return `mknod ${name} c 0644 1 2`
    case "socket":
      return `mknod ${name} s 0644`
    case "symlink":
      return `symlink nowhere ${name}`
  }
}

/** The step that removes one. */
export function remove(type: FileType, name: string): string {
  return `${type === "directory" ? "rmdir" : "unlink"} ${name}`
}

export const NAME_255 = "n".repeat(255)
export const NAME_256 = "n".repeat(256)

/** A path of this many bytes to `name` beside us. */
export function longPath(bytes: number, name: string): string {
  const slashes = bytes - name.length - 2
  return `.${"/".repeat(slashes + 1)}${name}`
}

/** Everybody but root, twice. */
export const USER = "@1000:1000"
export const OTHER = "@2000:2000"
