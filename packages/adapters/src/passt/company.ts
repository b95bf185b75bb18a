/**
 * Whether a client is connected, as the kernel's table of Unix sockets says: passt tells when one comes, and not when it goes.
 *
 *     Num       RefCount Protocol Flags    Type St Inode Path
 *     000…0: 00000003 00000000 00000000 0001 03 12345 /run/net.sock         the accepted end of a connection
 *     000…0: 00000002 00000000 00010000 0001 01 12344 /run/net.sock         the listener
 *
 * A client in another network namespace is not in the table of this one.
 *
 * @module
 */
import { readFileSync } from "node:fs"

const CONNECTED = "03"

/** Whether a client is connected to the socket that passt made under this name. */
export function hasClient(bound: string): boolean {
  return isConnected(readFileSync("/proc/net/unix", "utf8"), bound)
}

/** Reads the text of /proc/net/unix. */
export function isConnected(table: string, socket: string): boolean {
  return table.split("\n").some((line) => {
    const words = line.trim().split(/\s+/)
    return words[5] === CONNECTED && words.slice(7).join(" ") === socket
  })
}
