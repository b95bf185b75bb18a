/**
 * A guest whose ports are Unix sockets: what the adapter is given in the place of AF_VSOCK, and the guest that is behind it.
 *
 * @module
 */
import { once } from "node:events"
import { rmSync } from "node:fs"
import { createServer, connect as dial, type Socket } from "node:net"
import { dirname } from "node:path"
import type { VsockGuest } from "@skep/contract-tests"
import { check } from "@skep/loop"
import * as sys from "@skep/loop/sys"
import { connectUnix } from "@skep/vhost-user"
import type { GuestSockets } from "../../src/vhost-vsock/guest-sockets.ts"

/** One for each test, so that tests do not meet: the directory of the Firecracker socket. */
export function rootOf({ udsPath = "" }: { readonly udsPath?: string }): string {
  return dirname(udsPath)
}

/** Where the guest listens, and where the host does. */
const guestPath = (root: string, port: number): string => `${root}/guest.${port}`
const hostPath = (root: string, port: number): string => `${root}/host.${port}`
const FIRST_HOST_PORT = 2 ** 30

export function unixSockets(root: string): GuestSockets {
  let hostPort = FIRST_HOST_PORT
  return {
    connect: (port) => connectUnix(guestPath(root, port)),
    listen: (port) => {
      const path = hostPath(root, port)
      const other = connectUnix(path)
      if (other >= 0) {
        sys.close(other)
        throw new sys.SystemError("bind", sys.EADDRINUSE, `port ${port} of the host`)
      }
      rmSync(path, { force: true }) // the kernel's own ports leave nothing behind
      const fd = check(sys.socket(sys.AF_UNIX, sys.SOCK_STREAM | sys.SOCK_NONBLOCK), "socket")
      check(sys.bind(fd, { family: "unix", path }), "bind", `port ${port} of the host`)
      check(sys.listen(fd, 16), "listen")
      return fd
    },
    isGuest: () => true,
    hostPort: () => hostPort++,
  }
}

/** The guest's own side. */
export function unixGuest(root: string): VsockGuest & AsyncDisposable {
  const streams = new Set<Socket>()
  const own = (socket: Socket): Socket => {
    socket.on("error", () => socket.destroy())
    socket.once("close", () => streams.delete(socket))
    streams.add(socket)
    return socket
  }
  return {
    listen: async (port, onStream) => {
      const server = createServer({ allowHalfOpen: true }, (socket) => onStream(own(socket)))
      server.listen(guestPath(root, port))
      await once(server, "listening")
      return {
        [Symbol.asyncDispose]: async () => {
          server.close() // streams live on
        },
      }
    },
    connect: async (hostPort) => {
      const socket = dial({ path: hostPath(root, hostPort), allowHalfOpen: true })
      await once(socket, "connect")
      return own(socket)
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of streams) socket.destroy()
    },
  }
}
