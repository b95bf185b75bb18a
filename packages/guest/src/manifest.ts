/**
 * The manifest of an image: what it was made of, and the size and hash of each of its files. It is written last, so a
 * directory without one is no image.
 *
 * @module
 */
import * as z from "zod"
import type { Arch } from "./recipe.ts"

export const MANIFEST = "manifest.json"
/** The files of an image. `vmlinux` is missing if the kernel could not be unpacked. */
export const FILES = {
  bzImage: "vmlinuz",
  kernel: "vmlinux",
  initrd: "initrd.img",
  root: "root.erofs",
} as const

export interface Manifest {
  readonly format: 1
  readonly id: string
  readonly arch: Arch
  readonly recipeHash: string
  readonly kernelRelease: string
  /** ISO 8601. */
  readonly createdAt: string
  readonly files: Readonly<Record<string, { readonly sha256: string; readonly size: number }>>
  readonly packages: readonly {
    readonly name: string
    readonly version: string
    readonly architecture: string
    readonly sha256: string
  }[]
}

const digest = z.string().regex(/^[0-9a-f]{64}$/)
const File = z.object({ sha256: digest, size: z.int().min(1) })
const Installed = z.object({
  name: z.string(),
  version: z.string(),
  architecture: z.string(),
  sha256: digest,
})

const Schema = z.object({
  format: z.literal(1),
  id: digest,
  arch: z.enum(["amd64", "arm64"]),
  recipeHash: digest,
  kernelRelease: z.string().min(1),
  createdAt: z.iso.datetime(),
  // No slash: a manifest cannot point out of its directory.
  files: z.record(z.string().regex(/^[a-z.]+$/), File),
  packages: z.array(Installed),
})

/** Reads a manifest; undefined if it is damaged or of another format. */
export function parse(text: string): Manifest | undefined {
  try {
    return Schema.safeParse(JSON.parse(text)).data
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}
