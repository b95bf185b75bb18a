/**
 * Whether this host's kernel has a vsock device for guests, and whether this process may use it.
 *
 * @module
 */
import { closeSync, openSync } from "node:fs"
import * as sys from "@skep/loop/sys"

/** `reason` and `next` are for a reader, as in `skep doctor`. */
export type VhostVsock =
  | { readonly state: "opens"; readonly reason: string }
  | { readonly state: "denied" | "missing"; readonly reason: string; readonly next: string }

/** What is asked of the system; tests ask somebody else. */
export interface VhostVsockFacts {
  /** Opens the device and closes it: undefined, or the name of the error. */
  readonly openDevice: () => string | undefined
  /** Makes a socket of AF_VSOCK and closes it: undefined, or why there is none. */
  readonly openSocket: () => string | undefined
}

export const VHOST_VSOCK_DEVICE = "/dev/vhost-vsock"

/** Opens both for a moment. Nothing is connected to, and nothing is left behind. */
export function probeVhostVsock(facts: VhostVsockFacts = ofThisSystem): VhostVsock {
  const device = facts.openDevice()
  if (device === "EACCES" || device === "EPERM")
    return {
      state: "denied",
      reason: `"${VHOST_VSOCK_DEVICE}" is there, and this user may not open it (${device})`,
      next: "Become a member of the group that owns it (kvm on Debian), then log in again",
    }
  if (device !== undefined)
    return {
      state: "missing",
      reason: `"${VHOST_VSOCK_DEVICE}" cannot be opened (${device}): the kernel has no vsock device for guests`,
      next: "Load it: modprobe vhost_vsock",
    }
  const socket = facts.openSocket()
  if (socket !== undefined)
    return {
      state: "missing",
      reason: `"${VHOST_VSOCK_DEVICE}" opens, and this process cannot have vsock sockets: ${socket}`,
      next: "Load it: modprobe vsock; in a sandbox, let it use AF_VSOCK",
    }
  return { state: "opens", reason: `"${VHOST_VSOCK_DEVICE}" opens` }
}

const ofThisSystem: VhostVsockFacts = {
  openDevice: () => {
    try {
      closeSync(openSync(VHOST_VSOCK_DEVICE, "r+"))
      return undefined
    } catch (error) {
      if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code
      throw error
    }
  },
  openSocket: () => {
    const support = sys.available()
    if (!support.available) return support.reason
    const fd = sys.socket(sys.AF_VSOCK, sys.SOCK_STREAM)
    if (fd < 0) return sys.errnoName(fd)
    sys.close(fd)
    return undefined
  },
}
