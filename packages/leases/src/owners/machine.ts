/**
 * A machine of some tool, as that tool's own files describe it, and what can be told from any of them without knowing it whole.
 *
 * @module
 */
import type { Octets } from "../model.ts"

/** What a tool's file says of a machine. */
export interface Machine {
  readonly tool: string
  readonly name: string
  /** The file that says so. */
  readonly path: string
  /** Missing where it cannot be said. */
  readonly running?: boolean
  /** Ethernet addresses that are its. */
  readonly macs: readonly Octets[]
  /** Whether it has no others: then a lease of another one is not its, whatever the client calls itself. */
  readonly macsComplete: boolean
  /** What it calls itself when it asks for an address. */
  readonly hostNames: readonly string[]
  /** What it was last seen at: only looked at where nothing else is known. */
  readonly addresses: readonly string[]
}

const DEPTH_MAX = 32
const MAC = /^[0-9a-f]{1,2}([:-][0-9a-f]{1,2}){5}$/i
const IPV4 = /^\d{1,3}(\.\d{1,3}){3}$/
const ZERO = "00:00:00:00:00:00"

/** An Ethernet address in any of its spellings as `Octets`: `5:54:0:9C:22:D7` too. */
export function macOfText(text: string): Octets | undefined {
  if (!MAC.test(text)) return undefined
  const octets = text
    .split(/[:-]/)
    .map((part) => part.padStart(2, "0"))
    .join(":")
    .toLowerCase()
  return octets === ZERO ? undefined : octets
}

/** Ethernet addresses under names that have "mac" in them, anywhere in a JSON value. */
export function macsIn(value: unknown): Octets[] {
  const found = textsIn(value, /mac/i).map(macOfText)
  return [...new Set(found.filter((mac) => mac !== undefined))]
}

/** Addresses under names that have "ip" in them, anywhere in a JSON value. */
export function addressesIn(value: unknown): string[] {
  return [...new Set(textsIn(value, /ip/i).filter((text) => IPV4.test(text) && text !== "127.0.0.1"))]
}

function textsIn(value: unknown, name: RegExp, depth = 0): string[] {
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return []
  return Object.entries(value).flatMap(([key, inner]: [string, unknown]) => {
    if (typeof inner === "string") return name.test(key) ? [inner] : []
    return textsIn(inner, name, depth + 1)
  })
}

/** A member of an object; undefined of anything else. */
export function memberOf(value: unknown, name: string): unknown {
  if (typeof value !== "object" || value === null) return undefined
  return Object.entries(value).find(([key]) => key === name)?.[1]
}

export function textOf(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined
}

/** Undefined for what is no JSON. */
export function parseJson(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text)
    return value
  } catch {
    return undefined
  }
}
