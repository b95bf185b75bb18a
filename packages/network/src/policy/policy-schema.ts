/**
 * Policies from outside.
 *
 * @module
 */
import * as z from "zod"
import { badOptions, parsed } from "../bad-options.ts"
import type { PolicyMode, PolicySpec, PortRange } from "./policy-spec.ts"

const RANGES_MAX = 256

const port = z.int().min(1).max(65_535)

const Mode: z.ZodType<PolicyMode> = z.enum(["nothing", "loopback", "open"])

const Whole: z.ZodType<PolicySpec> = z.strictObject({
  mode: Mode,
  closedPorts: z
    .array(
      z
        .tuple([port, port])
        .refine(([first, last]) => first <= last, "ends before it begins")
        .readonly(),
    )
    .max(RANGES_MAX)
    .default([]),
})

/** A policy, or its mode alone. */
export const PolicySchema: z.ZodType<PolicySpec> = z.union(
  [Mode.transform((mode): PolicySpec => ({ mode, closedPorts: [] })), Whole],
  "is not nothing, loopback, open, or { mode, closedPorts }",
)

/** Checks a policy from outside. Throws "bad-options". */
export function parsePolicy(input: unknown): PolicySpec {
  return parsed(typeof input === "string" ? PolicySchema : Whole, input, "policy")
}

/** `22`, `8000-8999`. Throws "bad-options". */
export function portRangeOf(text: string): PortRange {
  const parts = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(text)
  if (parts === null) throw badOptions(`the ports "${text}": they are not PORT or FIRST-LAST`)
  return [Number(parts[1]), Number(parts[2] ?? parts[1])]
}
