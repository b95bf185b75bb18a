/**
 * Processor time of other processes, in nanoseconds' resolution.
 *
 * @module
 */
import { readdirSync, readFileSync } from "node:fs"

/** Processor seconds so far, of all threads. */
export function processCpu(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadCpu(pid, Number(thread)), 0)
}

/** Of one thread. */
export function threadCpu(pid: number, thread: number): number {
  // The first number is nanoseconds on a processor (Documentation/scheduler/sched-stats.rst).
  return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "latin1").split(" ")[0]) / 1e9
}
