/**
 * Shutting a machine down in order, told as a phase.
 *
 * @module
 */
import type { Report } from "./operation.ts"

const POWERDOWN_MS = 30_000

/** `ask` asks the guest to power off, and pulls the plug at the deadline; it returns whether the guest did. */
export async function powerOff(
  name: string,
  report: Report,
  ask: (deadlineMs: number) => Promise<boolean>,
): Promise<void> {
  report({ type: "begin", phase: "stop", title: "Shut down" })
  const began = performance.now()
  if (!(await ask(POWERDOWN_MS))) {
    const after = Math.round((performance.now() - began) / 1000)
    report({ type: "note", text: `${name} did not power off in order and was killed after ${after} s` })
  }
  const seconds = Math.round(performance.now() - began) / 1000
  report({ type: "end", phase: "stop", title: "Shut down", seconds })
}
