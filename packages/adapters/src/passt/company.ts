/**
 * Whether a client is connected, and whether one could be, as the kernel's table of Unix sockets says: passt tells when one comes, and not when it goes,
 * and that it has bound its socket, and not when it listens.
 *
 *     Num       RefCount Protocol Flags    Type St Inode Path
 *     000…0: 00000003 00000000 00000000 0001 03 12345 /run/net.sock         the accepted end of a connection
 *     000…0: 00000002 00000000 00010000 0001 01 12344 /run/net.sock         the listener
 *
 * The table is that of a network namespace, and so of the process that listens there, which may be in another one.
 *
 * @module
 */
import { readFileSync } from "node:fs"

const CONNECTED = "03"
/** SO_ACCEPTCON of the flags. */
const LISTENS = 0x1_0000

/** Whether a client is connected to the socket that process `pid` made under this name. */
export function hasClient(pid: number, bound: string): boolean {
  return isConnected(tableOf(pid), bound)
}

/** Whether clients may connect to it. */
export function isOpen(pid: number, bound: string): boolean {
  return isListening(tableOf(pid), bound)
}

/** Empty where the process has gone. */
function tableOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/net/unix`, "utf8")
  } catch {
    return ""
  }
}

/** Reads the text of /proc/net/unix. */
export function isConnected(table: string, socket: string): boolean {
  return socketsOf(table, socket).some(({ state }) => state === CONNECTED)
}

/** The same. */
export function isListening(table: string, socket: string): boolean {
  return socketsOf(table, socket).some(({ flags }) => (flags & LISTENS) !== 0)
}

function socketsOf(
  table: string,
  socket: string,
): readonly { readonly flags: number; readonly state: string }[] {
  return table.split("\n").flatMap((line) => {
    const [, , , flags = "", , state = "", , ...path] = line.trim().split(/\s+/)
    return path.join(" ") === socket ? [{ flags: Number.parseInt(flags, 16), state }] : []
  })
}
