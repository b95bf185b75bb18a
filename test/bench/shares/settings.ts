/**
 * How a run of the shares' benchmark is done.
 *
 * @module
 */
export interface Settings {
  /** Of this run. */
  readonly directory: string
  /** Where servers and QEMU run: loopback, and nothing outside. */
  readonly namespace: string
  readonly rounds: number
  readonly quick: boolean
  /** Whether a row is asked for. */
  readonly wanted: (row: string) => boolean
  readonly progress: (text: string) => void
}

/** What guests do with shares, and servers driven without a guest. */
export const SUITE = "shares"
export const DRIVEN_SUITE = "file-servers"

export function wordsOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
