/**
 * Where the host's sockets are, as each dialect names them, and whether the kernel takes such a path.
 *
 *     HyperKit      DIR/connect                 host clients, greeting first
 *                   DIR/00000002.PPPPPPPP       a host service, reached when the guest connects to the host's port P
 *                   DIR/CCCCCCCC.PPPPPPPP       host clients of the guest's port P, no greeting (guest_forwards), with a
 *                   DIR/guest.PPPPPPPP          link to it that does without the cid
 *     Firecracker   PATH                        host clients, greeting first
 *                   PATH_P                      a host service, reached when the guest connects to the host's port P
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import { CID_HOST, PORT_MAX } from "./address.ts"
import { hex } from "./greeting.ts"

/** sun_path without its closing zero byte. */
const LONGEST: Readonly<Record<"linux" | "darwin", number>> = { linux: 107, darwin: 103 }

export type Platform = keyof typeof LONGEST

export function connectPath(directory: string): string {
  return `${directory}/connect`
}

/** The host's service for `port`. */
export function servicePath(directory: string, port: number): string {
  return `${directory}/${hex(CID_HOST)}.${hex(port)}`
}

/** The bridge's own socket for host clients of the guest's `port`. */
export function forwardPath(directory: string, guestCid: number, port: number): string {
  return `${directory}/${hex(guestCid)}.${hex(port)}`
}

/** The link beside it. Its target is the last part of `forwardPath`, so that the directory can be moved. */
export function forwardLink(directory: string, port: number): string {
  return `${directory}/guest.${hex(port)}`
}

/** The host's service for `port` beside a Firecracker socket. */
export function firecrackerServicePath(udsPath: string, port: number): string {
  return `${udsPath}_${port}`
}

/** Throws "path-too-long" if this is not a path for a socket. */
export function checkSocketPath(path: string, platform: Platform): void {
  refuseLong(path, Buffer.byteLength(path), platform)
}

/** Throws "path-too-long" if a socket in `directory`, whatever its cid and port, would have too long a path. */
export function checkDirectory(directory: string, platform: Platform): void {
  refuseLong(directory, Buffer.byteLength(servicePath(directory, PORT_MAX)), platform)
}

/** Throws "path-too-long" if a service beside `udsPath`, whatever its port, would have too long a path. */
export function checkUdsPath(udsPath: string, platform: Platform): void {
  refuseLong(udsPath, Buffer.byteLength(firecrackerServicePath(udsPath, PORT_MAX)), platform)
}

function refuseLong(path: string, needed: number, platform: Platform): void {
  const longest = LONGEST[platform]
  if (needed <= longest) return
  const own = Buffer.byteLength(path)
  const added = needed === own ? "" : `, and the names of its sockets take ${needed - own} more`
  throw new SidecarError(
    "path-too-long",
    `Cannot use "${path}" for sockets: it has ${own} bytes${added}; a socket's path may have ${longest}`,
    { next: "Choose a shorter path" },
  )
}
