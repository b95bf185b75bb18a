/**
 * Uses up the descriptors of this process, for tests of what happens then.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import * as sys from "@skep/loop/sys"

/** Above what a test process has open. */
const LIMIT = 512

/** Leaves this process room for `spare` more descriptors, until disposed. Nothing that opens one may run meanwhile. */
export function fillDescriptors(spare: number): Disposable {
  const of = ["--pid", String(process.pid)]
  const before = execFileSync("prlimit", [...of, "--nofile", "--output=SOFT", "--noheadings"])
  const limit = (soft: string): void => {
    execFileSync("prlimit", [...of, `--nofile=${soft}:`])
  }
  limit(String(LIMIT))
  const filled: number[] = []
  for (let fd = sys.eventfd(); fd >= 0; fd = sys.eventfd()) filled.push(fd)
  for (const fd of filled.splice(0, spare)) sys.close(fd)
  return {
    [Symbol.dispose]: () => {
      for (const fd of filled.splice(0)) sys.close(fd)
      limit(before.toString().trim())
    },
  }
}

/** How many descriptors this process has, asked for without opening one. */
export function descriptorsUsed(): number {
  let used = 0
  for (let fd = 0; fd < LIMIT; fd++) if (sys.fcntl(fd, sys.F_GETFD) >= 0) used++
  return used
}
