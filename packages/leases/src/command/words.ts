/**
 * Times and pools in words for people.
 *
 * @module
 */
import { type LeasePool, SidecarError } from "@skep/contract"

const UNITS: Readonly<Record<string, number>> = {
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
}

/** 12 s, 5 min, 3 h, 2 d. */
export function lengthOf(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 120) return `${seconds} s`
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} d`
}

/** "in 3 h", "2 d ago", "never". */
export function whenOf(time: number | undefined, now: number): string {
  if (time === undefined || !Number.isFinite(time)) return "never"
  return time > now ? `in ${lengthOf(time - now)}` : `${lengthOf(now - time)} ago`
}

/** `90m`, `24h`, `7d`, `0`. */
export function parseLength(text: string): number {
  const [, count = "", unit = "s"] = /^(\d{1,9})([smhdw]?)$/.exec(text) ?? []
  if (count !== "") return Number(count) * (UNITS[unit === "" ? "s" : unit] ?? 1000)
  throw new SidecarError("bad-options", `Cannot use "${text}" as a time: it is none`, {
    next: "Write 90m, 24h or 7d",
  })
}

export function poolSentence(
  { network, size, used, free, nextFree, exhausted }: LeasePool,
  now: number,
): string {
  const left = free === 0 ? "none is left" : `${free} ${free === 1 ? "is" : "are"} left`
  const back = nextFree === undefined ? "" : `; the next one comes back ${whenOf(nextFree, now)}`
  const end =
    exhausted === undefined || free === 0 ? "" : `; at this rate none is left ${whenOf(exhausted, now)}`
  return `${network}: ${used} of ${size} addresses are in use, ${left}${back}${end}`
}
