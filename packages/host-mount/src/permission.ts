/**
 * Who may mount: root, and any other user by fusermount(1), which is set-user-id root. libfuse prints what it was refused for on stderr, and tells
 * its caller nothing; here the reasons are looked for, and said.
 *
 * @module
 */
import { accessSync, closeSync, constants, openSync, statSync } from "node:fs"
import { userInfo } from "node:os"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"

const DEVICE = "/dev/fuse"
const PROGRAM = "fusermount"
/** Where programs of the system are, whatever the user's own PATH says. */
export const PROGRAM_PATHS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
const SET_USER_ID = 0o4000
const INSTALL = "apt-get install fuse3"

export interface Refusal {
  readonly reason: string
  readonly next: string
}

/** Throws "unsupported", "permission-denied" or "host-program-missing" where no mount can succeed, with what to do about it. */
export function checkMayMount(): void {
  try {
    closeSync(openSync(DEVICE, constants.O_RDWR))
  } catch (error) {
    const [code, reason, next] = deviceRefusal(errnoOf(error))
    throw new SidecarError(code, `Cannot mount anything: ${reason}`, { cause: error, next })
  }
  if (findProgram() === undefined)
    throw new SidecarError("host-program-missing", `Cannot mount anything: ${PROGRAM} is not installed`, {
      next: INSTALL,
    })
}

function deviceRefusal(
  errno: string | undefined,
): readonly ["unsupported" | "permission-denied", string, string] {
  // fusermount opens it as whoever has called it.
  if (errno === "EACCES")
    return [
      "permission-denied",
      `this user may not open ${DEVICE}`,
      `Let every user open it, as most systems do: sudo chmod 0666 ${DEVICE}`,
    ]
  if (errno === "EPERM")
    return [
      "permission-denied",
      `${DEVICE} is kept from this container`,
      "Start the container with --device /dev/fuse --cap-add SYS_ADMIN",
    ]
  return [
    "unsupported",
    `${DEVICE} cannot be opened (${errno})`,
    "Load the kernel's module: sudo modprobe fuse",
  ]
}

/** Why a mount on this directory was refused, where it can be seen. */
export function findRefusal(directory: string): Refusal | undefined {
  if (process.getuid?.() === 0)
    return {
      reason: "the kernel refuses it, although we are root",
      next: "In a container it needs --cap-add SYS_ADMIN",
    }
  const program = findProgram()
  if (program === undefined) return { reason: `${PROGRAM} is not installed`, next: INSTALL }
  const { uid, mode } = statSync(program)
  if (uid !== 0 || (mode & SET_USER_ID) === 0)
    return {
      reason: `${program} is not set-user-id root, so that only root can mount`,
      next: `sudo chown root ${program} && sudo chmod u+s ${program}`,
    }
  if (!hasName())
    return {
      reason: `the user ${process.getuid?.()} has no name on this host, and ${PROGRAM} wants one`,
      next: "Mount as a user that is in /etc/passwd",
    }
  if (!isWritable(directory))
    return {
      reason: `this user may not write to it`,
      next: "Name a directory of your own, or one that is not there yet",
    }
  return undefined
}

function findProgram(): string | undefined {
  return PROGRAM_PATHS.split(":")
    .map((directory) => join(directory, PROGRAM))
    .find((path) => statSync(path, { throwIfNoEntry: false }) !== undefined)
}

function hasName(): boolean {
  try {
    userInfo()
    return true
  } catch {
    return false // ENOENT of getpwuid_r, in an error class of Node's own
  }
}

function isWritable(directory: string): boolean {
  try {
    accessSync(directory, constants.W_OK)
    return true
  } catch (error) {
    if (errnoOf(error) === "EACCES") return false
    throw error
  }
}
