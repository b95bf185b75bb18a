/**
 * The directory of a socket that somebody else chose a place for. It stays as it is: others may have their files there. What matters is that nobody
 * can put another socket in the place of ours.
 *
 * @module
 */
import type { Stats } from "node:fs"
import { stat } from "node:fs/promises"
import { dirname } from "node:path"
import { SidecarError } from "@skep/contract"
import { errnoOf, privateDirectory } from "@skep/runtime"
import { refusedPath } from "../refused-path.ts"

const ROOT = 0
const STICKY = 0o1000
const WRITABLE_FOR_OTHERS = 0o022

export const ANOTHER_SOCKET = "Choose another place for the socket"

/**
 * Makes the directory of a socket, 0700, with those above it that are missing. One that is there must be this user's or root's, and such that no
 * other user may take away what lies in it: not writable for others, or sticky as /tmp is. Throws "permission-denied", "exists", "bad-options".
 */
export async function socketDirectory(socket: string): Promise<void> {
  const directory = dirname(socket)
  const found = await foundAt(directory)
  if (found !== undefined) {
    checkDirectory(found, socket, directory)
    return
  }
  try {
    await privateDirectory(directory)
  } catch (error) {
    throw refusedPath("create the directory", directory, error, ANOTHER_SOCKET)
  }
}

async function foundAt(directory: string): Promise<Stats | undefined> {
  try {
    return await stat(directory)
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return undefined
    throw refusedPath("listen in", directory, error, ANOTHER_SOCKET)
  }
}

function checkDirectory(found: Stats, socket: string, directory: string): void {
  const refused = (code: "exists" | "permission-denied", reason: string, next = ANOTHER_SOCKET) =>
    new SidecarError(code, `Cannot listen on "unix:${socket}": ${reason}`, { next })
  if (!found.isDirectory()) throw refused("exists", `"${directory}" is no directory`)
  if (found.uid !== process.getuid?.() && found.uid !== ROOT)
    throw refused("permission-denied", `"${directory}" belongs to another user`)
  if ((found.mode & WRITABLE_FOR_OTHERS) === 0 || (found.mode & STICKY) !== 0) return
  throw refused(
    "permission-denied",
    `other users may put files in "${directory}"`,
    `${ANOTHER_SOCKET}, or take that right from them: chmod go-w ${directory}`,
  )
}
