/**
 * One export as it is understood of others' lines, to say whose it is and whether it is in the way.
 *
 * @module
 */
import type { Client } from "./clients.ts"

export interface Entry {
  /** The first line of it, from 1. */
  readonly line: number
  /** Absolute directories; of macOS several may share a line. */
  readonly paths: readonly string[]
  readonly clients: readonly Client[]
  readonly readOnly: boolean
  /** What whoever wrote it is called: "vagrant", "docker-machine-driver-xhyve", "Skep for dev", or "somebody". */
  readonly owner: string
}

/** What programs that keep blocks in this file mark them with. */
const OWNERS: readonly [RegExp, (match: RegExpExecArray) => string][] = [
  [/^#\s*BEGIN skep (\S+)/, (match) => `Skep for ${match[1]}`],
  [/^#\s*VAGRANT-BEGIN:/, () => "vagrant"],
  // johanneswuerbach/nfsexports: docker-machine-driver-xhyve, minikube-hyperkit and others.
  [/^#\s*BEGIN:\s*(\S+)/, (match) => match[1] ?? "a program"],
  [/^#\s*(\S+) BEGIN\b/i, (match) => match[1] ?? "a program"],
]
const ENDS = /^#\s*(?:END skep|VAGRANT-END:|END:|\S+ END\b)/i

/** Tells, line by line, whose block it is in. */
export class OwnerReader {
  #owner = "somebody"

  read(text: string): string {
    const line = text.trim()
    for (const [pattern, name] of OWNERS) {
      const match = pattern.exec(line)
      if (match !== null) this.#owner = name(match)
    }
    const owner = this.#owner
    if (ENDS.test(line)) this.#owner = "somebody"
    return owner
  }
}
