/**
 * How many sockets a bridge may have at a time.
 *
 * A process that has used up its descriptors cannot do what it is there for. Behind vhost-user it cannot receive those of the front end either
 * (SCM_RIGHTS), and QEMU sends new ones whenever the guest masks an interrupt: clients of the host must not be able to bring that about.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs"

/** For the front end, listening sockets, the loop, the control socket and its clients. */
const SPARED = 128
/** Where the limit cannot be read: POSIX's. */
const FALLBACK = 1024

/** What this process may open, less what it has open and what it spares. At least one, so that there is an answer at all. */
export function socketsMax(): number {
  const used = readdirSync("/proc/self/fd").length
  return Math.max(1, limit() - used - SPARED)
}

/** proc(5): `Max open files  20000  20000  files`, the soft limit first. */
function limit(): number {
  const found = /^Max open files\s+(\S+)/m.exec(readFileSync("/proc/self/limits", "utf8"))?.[1]
  if (found === "unlimited") return Number.MAX_SAFE_INTEGER
  const soft = Number(found)
  return Number.isInteger(soft) ? soft : FALLBACK
}
