/**
 * How the fake hypervisor may behave.
 *
 * @module
 */

export type Behaviour =
  | "boots"
  /** Runs and prints nothing. */
  | "silent"
  /** Prints what a kernel's boot stub prints, and nothing more: a broken KVM. */
  | "stub-only"
  /** Silent the first two times. Needs `log`. */
  | "silent-twice"
  /** Hangs after its first lines the first two times, then reports the phase "ssh". */
  | "hangs-twice"
  /** Says nothing after its first lines while its disk works, then reports the phase "ssh". */
  | "checks-its-disk"
  /** Ends by SIGABRT at once. */
  | "aborts"
  /** Ends with exit code 1 and a word on stderr. */
  | "refuses"
  /** Boots and hears no powerdown. */
  | "deaf"

export interface Behaviours {
  readonly kvm?: Behaviour
  readonly tcg?: Behaviour
  /** Of the launcher's monitor: hangs up on the first client, greets after 2.5 s, or never. */
  readonly monitor?: "hangs-up-once" | "slow" | "mute"
  /** Gets the accelerator of each start, a line each. */
  readonly log?: string
}
