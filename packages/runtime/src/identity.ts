/**
 * Which process is meant: pid + start time + nonce. A pid alone names whoever the kernel gave the number to last.
 *
 * Linux: proc(5), /proc/PID/stat field 22 (start time in clock ticks since boot), with the boot id so that a number from
 * before a reboot never matches. macOS: `ps -o lstart=`.
 *
 * @module
 */
import { execFileSync } from "node:child_process"
import { randomBytes } from "node:crypto"
import { readFileSync } from "node:fs"
import type { Identity } from "@skep/contract"

const STAT_STATE = 0
const STAT_START_TIME = 19

/** The identity of this process, with a fresh nonce. */
export function ownIdentity(): Identity {
  return identityOf(process.pid) ?? { pid: process.pid, startTime: "unknown", nonce: newNonce() }
}

/** The identity of a live process, or undefined when there is none (a zombie is none). */
export function identityOf(pid: number): Identity | undefined {
  const startTime = startTimeOf(pid)
  return startTime === undefined ? undefined : { pid, startTime, nonce: newNonce() }
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

function newNonce(): string {
  return randomBytes(8).toString("hex")
}

function startTimeOf(pid: number): string | undefined {
  return process.platform === "linux" ? linuxStartTime(pid) : psStartTime(pid)
}

function linuxStartTime(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "utf8")
    // The command name may hold spaces and parentheses; the fields start after the last one.
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
    if (fields[STAT_STATE] === "Z") return undefined
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
