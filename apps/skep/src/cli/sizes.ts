/**
 * Sizes and counts as people type them: `2g`, `512m`, `20`.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"

const SIZE = /^(\d+(?:\.\d+)?)\s*([mgt]?)(?:i?b)?$/i
const MIB = { m: 1, g: 1024, t: 1024 * 1024 } as const

/** MiB. A bare number means MiB. Throws "bad-options". */
export function parseMemory(text: string): number {
  return Math.round(parse("memory", text, "m", "2g or 512m"))
}

/** GiB. A bare number means GiB. Throws "bad-options". */
export function parseDisk(text: string): number {
  const gib = parse("disk", text, "g", "20g or 1t") / 1024
  if (Number.isInteger(gib)) return gib
  throw new SidecarError("bad-options", `Cannot use "${text}" as a disk size: it is no whole number of GiB`, {
    next: "Say it as in --disk 20g",
  })
}

/** Throws "bad-options". */
export function parseCpus(text: string): number {
  return whole(text, "processors", "--cpus 2")
}

/** Throws "bad-options". */
export function parseLines(text: string): number {
  return whole(text, "lines", "-n 50")
}

function whole(text: string, what: string, example: string): number {
  if (/^\d+$/.test(text)) return Number(text)
  throw new SidecarError(
    "bad-options",
    `Cannot use "${text}" as a number of ${what}: it is no whole number`,
    {
      next: `Say it as in ${example}`,
    },
  )
}

function parse(what: string, text: string, unit: "m" | "g", example: string): number {
  const match = SIZE.exec(text.trim())
  if (match === null) {
    throw new SidecarError("bad-options", `Cannot use "${text}" as a ${what} size: it is no size`, {
      next: `Say it as ${example}`,
    })
  }
  const suffix = (match[2] ?? "").toLowerCase()
  return Number(match[1]) * MIB[suffix === "m" || suffix === "g" || suffix === "t" ? suffix : unit]
}
