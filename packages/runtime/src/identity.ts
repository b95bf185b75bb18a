/**
 * Which process is meant, before it is signalled: pid + start time. A pid alone names whoever the kernel gave the number
 * to last. Which instance of a sidecar is meant, before its socket is asked: that and a nonce, which only it can tell.
 *
 * Linux: proc(5), /proc/PID/stat field 22 (start time in clock ticks since boot), with the boot id so that a number from
 * before a reboot never matches. macOS: `ps -o lstart=`.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import type { Identity, Instance } from "@skep/contract"

const STAT_STATE = 0
const STAT_THREADS = 17
const STAT_START_TIME = 19

/** The identity of this process, with a fresh nonce. */
export function ownIdentity(): Instance {
  const identity = identityOf(process.pid) ?? { pid: process.pid, startTime: "unknown" }
  return { ...identity, nonce: randomBytes(8).toString("hex") }
}

/** The identity of a live process, or undefined when there is none (a zombie is none). */
export function identityOf(pid: number): Identity | undefined {
  const startTime = startTimeOf(pid)
  return startTime === undefined ? undefined : { pid, startTime }
}

/** Whether that very process still runs. */
export function isAlive(identity: Identity): boolean {
  return startTimeOf(identity.pid) === identity.startTime
}

/** Sends a signal if that very process still runs; returns whether it was sent. */
export function signalProcess(identity: Identity, name: NodeJS.Signals): boolean {
  if (!isAlive(identity)) return false
  try {
    return process.kill(identity.pid, name)
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ESRCH") return false
    throw error
  }
}

function startTimeOf(pid: number): string | undefined {
  return process.platform === "linux" ? linuxStartTime(pid) : psStartTime(pid)
}

function linuxStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The command name may hold spaces and parentheses; the fields start after the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    // A zombie whose other threads are still on their way out has its files open.
    if (fields[STAT_STATE] === "Z" && Number(fields[STAT_THREADS]) <= 1) return undefined
    const bootId = readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim()
    return `${fields[STAT_START_TIME]}@${bootId}`
  } catch {
    return undefined // gone, or going while we read
  }
}

function psStartTime(pid: number): string | undefined {
  try {
    const line = execFileSync("ps", ["-o", "stat=,lstart=", "-p", String(pid)], { encoding: "utf8" }).trim()
    return line === "" || line.startsWith("Z") ? undefined : line.replace(/^\S+\s+/, "")
  } catch {
    return undefined
  }
}
