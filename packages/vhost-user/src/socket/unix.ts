/**
 * Unix sockets by path, without ever waiting.
 *
 * @module
 */
import { fchmodSync } from "node:fs"
import { check } from "@skep/loop"
import * as sys from "@skep/loop/sys"

const OWNER_ONLY = 0o600

/** Listens on a path that is free, for this user only. The caller owns the path. Throws the `SystemError` of what refused. */
export function listenUnix(path: string): number {
  const fd = check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
  try {
    // unix(7): the file gets the mode of its socket, so that it is never open to others, not even for a moment.
    fchmodSync(fd, OWNER_ONLY)
    check(sys.bind(fd, { family: "unix", path }), "bind", path)
    check(sys.listen(fd, 1), "listen", path)
    return fd
  } catch (error) {
    sys.close(fd)
    throw error
  }
}

/** Connects without waiting: a descriptor, or `-errno`; EAGAIN is a listener whose backlog is full. */
export function connectUnix(path: string): number {
  const fd = sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK)
  if (fd < 0) return fd
  const result = sys.connect(fd, { family: "unix", path })
  if (result === 0) return fd
  sys.close(fd)
  return result
}
