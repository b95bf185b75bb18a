/**
 * One sentence for what is wrong with something from outside.
 *
 * @module
 */
import { inspect } from "node:util"
import { SidecarError } from "@skep/contract"
import type { z } from "zod"

const SHOWN_MAX = 80

/** Checks `input`. Throws "bad-options" that names the field and its value. */
export function parsed<T>(schema: z.ZodType<T>, input: unknown, what: string): T {
  const result = schema.safeParse(input)
  if (result.success) return result.data
  const issue = result.error.issues[0]
  const path = issue?.path ?? []
  const field = path.length === 0 ? `the ${what}` : `"${path.join(".")}" of the ${what}`
  const value = valueAt(input, path)
  const shown =
    value === undefined
      ? "missing"
      : inspect(value, { depth: 1, breakLength: Number.POSITIVE_INFINITY }).slice(0, SHOWN_MAX)
  const why = (issue?.message ?? "not valid").replace(/^Invalid input: (.*), received .*$/, "$1")
  throw badOptions(`${field}: it is ${shown}: ${why}`, result.error)
}

export function badOptions(reason: string, cause?: unknown): SidecarError {
  return new SidecarError("bad-options", `Cannot use ${reason}`, cause === undefined ? {} : { cause })
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined
    value = new Map<PropertyKey, unknown>(Object.entries(value)).get(String(key))
  }
  return value
}
