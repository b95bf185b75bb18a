/**
 * What is to be exported for a machine, as it comes from outside: to a program that runs as root.
 *
 * @module
 */
import { isIP } from "node:net"
import { SidecarError } from "@skep/contract"
import * as z from "zod"

export type ExportPlatform = "macos" | "linux"

export interface ExportedDirectory {
  /** Absolute, without links. */
  readonly path: string
  readonly readOnly: boolean
}

export interface ExportRequest {
  readonly machine: string
  readonly directories: readonly ExportedDirectory[]
  /** The machine's address, or its network as `ADDRESS/BITS`. */
  readonly client: string
  /** Whom everybody in the machine is on the host: never root unless root asks. */
  readonly uid: number
  readonly gid: number
}

const ID_MAX = 0xfffffffe
const DIRECTORIES_MAX = 256

/** A machine, as in its name and in markers. */
export const MachineName: z.ZodType<string> = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/)

const Directory = z.strictObject({
  path: z
    .string()
    .max(1023)
    // oxlint-disable-next-line no-control-regex -- none of them in a file of lines
    .regex(/^\/[^\x00-\x1f\x7f]*$/, "must be absolute, without control characters")
    .refine(isTidy, "must have no //, . or .. and no / at the end"),
  readOnly: z.boolean().default(false),
})

const Request: z.ZodType<ExportRequest> = z.strictObject({
  machine: MachineName,
  directories: z.array(Directory).max(DIRECTORIES_MAX),
  client: z.string().refine(isClient, "must be an address, or a network as ADDRESS/BITS"),
  uid: z.int().min(0).max(ID_MAX),
  gid: z.int().min(0).max(ID_MAX),
})

/** Throws "bad-options". */
export function parseExportRequest(input: unknown): ExportRequest {
  const parsed = Request.safeParse(input)
  if (parsed.success) return parsed.data
  const reason = z.prettifyError(parsed.error).replaceAll("\n", " ")
  throw new SidecarError("bad-options", `Cannot read what is to be exported: ${reason}`, {
    cause: parsed.error,
  })
}

function isTidy(path: string): boolean {
  const parts = path.slice(1).split("/")
  return path === "/" || parts.every((part) => part !== "" && part !== "." && part !== "..")
}

function isClient(text: string): boolean {
  const [address = "", bits, ...more] = text.split("/")
  const family = isIP(address)
  if (family === 0 || more.length > 0 || address.includes("%")) return false
  return bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128))
}
