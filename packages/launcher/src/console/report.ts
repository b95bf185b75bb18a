/**
 * What a line of the guest's console means to the launcher.
 *
 *     skep: phase docker 11.42          the guest reached a phase, at that many seconds of its own clock
 *     skep: failed data-disk: no space  it gave up there
 *     Kernel panic - not syncing: …     Linux
 *
 * @module
 */

export type Report =
  | { readonly kind: "phase"; readonly name: string; readonly guestSeconds: number }
  | { readonly kind: "failed"; readonly phase: string; readonly reason: string }
  | { readonly kind: "panic"; readonly reason: string }

/** Lines through /dev/kmsg carry the kernel's time. */
const STAMP = /^\[\s*\d+\.\d+\]\s*/
/** Anywhere in its line: a shell that waits on the console has written its prompt there. */
const PHASE = /skep: phase (\S{1,64}) (\d{1,9}(?:\.\d{1,9})?)\s*$/
const FAILED = /skep: failed (\S{1,64}?): (.*)$/
const PANIC = /^Kernel panic - not syncing: (.*)$/

/**
 * Linux's 16-bit boot stub and a firmware print before the kernel proper runs, and do so even under an accelerator that
 * never gets further (seen: KVM that opens, prints the first of these, and stops for good).
 */
const BEFORE_THE_KERNEL =
  /^(Probing EDD|early console in|Decompressing Linux|Booting the kernel|SeaBIOS|iPXE|Booting from)/

export function parseReport(line: string): Report | undefined {
  const text = line.replace(STAMP, "")
  const phase = PHASE.exec(text)
  if (phase !== null) return { kind: "phase", name: phase[1] ?? "", guestSeconds: Number(phase[2]) }
  const failed = FAILED.exec(text)
  if (failed !== null) return { kind: "failed", phase: failed[1] ?? "", reason: (failed[2] ?? "").trim() }
  const panic = PANIC.exec(text)
  if (panic !== null) return { kind: "panic", reason: (panic[1] ?? "").trim() }
  return undefined
}

/** Whether this line shows that the guest itself runs, and not only what loads it. */
export function provesGuest(line: string): boolean {
  const text = line.trim()
  return text !== "" && !BEFORE_THE_KERNEL.test(text)
}
