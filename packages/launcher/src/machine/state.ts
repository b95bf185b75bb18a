/**
 * Where a machine stands: what happened to it in, its state out. Pure.
 *
 *     starting ──first line──► running ◄──resume── paused
 *        ▲                      │  │ ────stop────►   │
 *        └──────reset───────────┘  │                 │
 *                                  └──powerdown──► stopping ──ended──► stopped | crashed     (ended: from any state)
 *
 * @module
 */
import type { MachineState } from "@skep/contract"

export type Happening =
  /** The guest printed its first line since it started or was reset. */
  | "first-line"
  /** QMP STOP and RESUME. */
  | "stop"
  | "resume"
  /** QMP RESET: the guest restarts itself. */
  | "reset"
  /** Somebody asked the guest to power off, or QEMU said SHUTDOWN. */
  | "powerdown"
  /** The guest did not power off in time and runs on. */
  | "powerdown-ignored"
  | "ended-clean"
  | "ended-crashed"

type Moves = Readonly<Partial<Record<Happening, MachineState>>>

const ENDINGS: Moves = { "ended-clean": "stopped", "ended-crashed": "crashed" }

const MOVES: Readonly<Record<MachineState, Moves>> = {
  // The `cont` that begins a machine says RESUME too: only the guest itself can say that it runs.
  starting: { "first-line": "running", stop: "paused", powerdown: "stopping", ...ENDINGS },
  running: { stop: "paused", reset: "starting", powerdown: "stopping", ...ENDINGS },
  paused: { resume: "running", powerdown: "stopping", ...ENDINGS },
  stopping: { "powerdown-ignored": "running", ...ENDINGS },
  stopped: {},
  crashed: {},
}

/** The state after `happening`. What makes no sense in a state leaves it as it is: QEMU's events may cross our commands. */
export function next(state: MachineState, happening: Happening): MachineState {
  return MOVES[state][happening] ?? state
}

/** Everything that tells a clean end from a crash. */
export interface EndFacts {
  /** We stopped or killed it, or asked it to power off. */
  readonly asked: boolean
  /** `reason` of QMP SHUTDOWN, such as "guest-shutdown". */
  readonly shutdown: string | undefined
  /** What the guest's kernel said when it panicked. */
  readonly panic: string | undefined
  /** Its monitor broke while it ran, so we ended it. */
  readonly outOfControl: boolean
  /** Both are undefined for a process that is not our child. */
  readonly code: number | undefined
  readonly signal: string | undefined
  /** The last lines of the hypervisor's log. */
  readonly log: readonly string[]
}

export type Ending =
  | { readonly state: "stopped" }
  | { readonly state: "crashed"; readonly reason: string; readonly detail: readonly string[] }

/** Judges how a machine ended. */
export function endingOf(facts: EndFacts): Ending {
  if (facts.asked) return { state: "stopped" }
  if (facts.panic !== undefined) return crashed(`the guest's kernel panicked: ${facts.panic}`, facts)
  if (facts.outOfControl)
    return crashed("QEMU's monitor broke, and without it the machine is out of control", facts)
  const word = lastWord(facts.log)
  if (facts.signal !== undefined) return crashed(`killed by ${facts.signal}${word}`, facts)
  if (facts.code !== undefined && facts.code !== 0) {
    return crashed(`QEMU ended with exit code ${facts.code}${word}`, facts)
  }
  switch (facts.shutdown) {
    case "guest-shutdown":
    case "host-qmp-quit":
      return { state: "stopped" }
    case "guest-panic":
      return crashed("the guest's kernel panicked", facts)
    case "host-signal":
      return crashed("QEMU was told to end by a signal from outside", facts)
    case undefined:
      return crashed("QEMU ended without a word", facts)
    default:
      return crashed(`QEMU shut down: ${facts.shutdown}`, facts)
  }
}

/** QEMU says "error:" first and asserts afterwards; an end from outside leaves no word. */
function lastWord(log: readonly string[]): string {
  const line = log.find((text) => text.includes("error:")) ?? log.at(-1)
  return line === undefined ? "" : `: ${line.replace(/^qemu-system-\w+: (error: )?/, "")}`
}

function crashed(reason: string, facts: EndFacts): Ending {
  return { state: "crashed", reason, detail: facts.log }
}
