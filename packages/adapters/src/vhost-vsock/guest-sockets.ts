/**
 * The sockets by which the adapter meets the guest: the kernel's AF_VSOCK (vsock(7)), behind an interface that tests fill otherwise.
 *
 * @module
 */
import { check } from "@skep/loop"
import * as sys from "@skep/loop/sys"

export interface GuestSockets {
  /**
   * Begins to connect to a port of the guest: a non-blocking descriptor of the caller's, or `-errno`. EPOLLOUT and `sys.socketError` tell
   * when and whether it is connected.
   */
  connect(port: number): number
  /** Listens on a port of the host: a non-blocking descriptor of the caller's. Throws the `SystemError` of what refused. */
  listen(port: number): number
  /** Whether who connected to a port of the host is our guest: the kernel lets all guests and the host's own programs in. */
  isGuest(fd: number): boolean
  /** The host's port of a connected socket. */
  hostPort(fd: number): number
}

/** VMADDR_CID_ANY. */
const CID_ANY = 0xffff_ffff
const BACKLOG = 511

/** The kernel's sockets for one guest. */
export function kernelSockets(guestCid: number): GuestSockets {
  return {
    connect: (port) => {
      const fd = open()
      if (fd < 0) return fd
      const result = sys.connect(fd, { family: "vsock", cid: guestCid, port })
      if (result === 0 || result === -sys.EINPROGRESS) return fd
      sys.close(fd)
      return result
    },
    listen: (port) => {
      const fd = check(open(), "socket")
      try {
        const what = `port ${port} of the host`
        check(sys.bind(fd, { family: "vsock", cid: CID_ANY, port }), "bind", what)
        check(sys.listen(fd, BACKLOG), "listen", what)
        return fd
      } catch (error) {
        sys.close(fd)
        throw error
      }
    },
    isGuest: (fd) => {
      const peer = sys.peerName(fd)
      return typeof peer === "object" && peer.family === "vsock" && peer.cid === guestCid
    },
    hostPort: (fd) => {
      const own = sys.socketName(fd)
      return typeof own === "object" && own.family === "vsock" ? own.port : 0
    },
  }
}

function open(): number {
  return sys.socket(sys.AF_VSOCK, sys.SOCK_STREAM | sys.SOCK_NONBLOCK)
}
