/**
 * The one step that may need root: run again by sudo, by words and never through a shell, with what is to be done on its standard input.
 *
 * @module
 */
import { accessSync, constants } from "node:fs"
import { dirname } from "node:path"
import { runRootStep } from "@skep/runtime/root-step"

export interface AsRoot {
  /** Node and its arguments that run `skep-leases`. */
  readonly program: readonly [string, ...string[]]
  /** Whether sudo may ask for a password: there is a terminal. */
  readonly interactive: boolean
  readonly signal: AbortSignal
  /** `sudo` unless told. */
  readonly sudo?: string
}

const OUTPUT_MAX = 1 << 26

/** Whether this user can replace the file himself. */
export function mayReplace(path: string): boolean {
  try {
    accessSync(dirname(path), constants.W_OK)
    return true
  } catch {
    return false
  }
}

/** Runs the step as root. Rejects with its error, or with "permission-denied" where sudo did not let us. */
export async function runAsRoot(verb: string, input: unknown, how: AsRoot): Promise<unknown> {
  const next = "Run the same command as root"
  return await runRootStep({
    line: [...how.program, verb],
    input: JSON.stringify(input),
    interactive: how.interactive,
    prompt: "Password for root's part of skep-leases: ",
    sudo: how.sudo ?? "sudo",
    outputMax: OUTPUT_MAX,
    signal: how.signal,
    refused: { message: "Cannot change the lease file: sudo did not run it", next },
    withoutSudo: next,
  })
}
