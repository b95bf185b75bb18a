/**
 * The images on this host: `<imagesDir>/<id>/` each. An image is complete when its manifest and all files it names are
 * there in their full size; everything else that looks like one is broken and is never used.
 *
 * @module
 */
import { createHash, randomUUID } from "node:crypto"
import { createReadStream } from "node:fs"
import { readdir, readFile, rename, rm, stat } from "node:fs/promises"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { SidecarError } from "@skep/contract"
import { errnoOf } from "@skep/runtime/files"
import { FILES, MANIFEST, type Manifest, parse } from "./manifest.ts"
import type { Arch } from "./recipe.ts"
import { recipeHash } from "./sources.ts"

/** A complete image. */
export interface Image {
  readonly id: string
  readonly arch: Arch
  readonly dir: string
  /** What QEMU starts: the unpacked kernel (ELF with a PVH entry), or the bzImage if there is none. */
  readonly kernel: string
  /** The kernel as Debian ships it, for hypervisors that want a bzImage (xhyve, HyperKit). */
  readonly bzImage: string
  readonly initrd: string
  readonly root: string
  readonly kernelRelease: string
  readonly recipeHash: string
  /** ISO 8601. */
  readonly createdAt: string
  readonly bytes: number
}

const ID = /^[0-9a-f]{64}$/
/** How directories of a build or a removal under way begin. */
export const TEMPORARY = ".building-"

/**
 * Returns the newest complete image of the current recipe, without any network; undefined if there is none. Throws
 * "image-broken" if there is one but it is not whole.
 */
export async function currentImage(imagesDir: string, arch: Arch): Promise<Image | undefined> {
  const hash = await recipeHash(arch)
  const found = await inspectAll(imagesDir)
  const images = found.flatMap((each) => (each.image?.recipeHash === hash ? [each.image] : []))
  const newest = images.toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))[0]
  const broken = found.find((each) => each.image === undefined && (each.recipeHash ?? hash) === hash)
  if (newest === undefined && broken !== undefined) throw brokenError(broken.id, broken.reason)
  return newest
}

/** Returns all complete images, of any recipe, the newest first. */
export async function listImages(imagesDir: string): Promise<readonly Image[]> {
  const found = await inspectAll(imagesDir)
  return found
    .flatMap((each) => (each.image === undefined ? [] : [each.image]))
    .toSorted((a, b) => (a.createdAt < b.createdAt ? 1 : -1))
}

/** Removes an image, complete or broken. Throws "not-found". */
export async function removeImage(imagesDir: string, id: string): Promise<void> {
  // Renamed first, so that an interruption leaves no half of an image.
  const away = join(imagesDir, `${TEMPORARY}removed-${randomUUID()}`)
  try {
    if (!ID.test(id)) throw Object.assign(new Error("not an id"), { code: "ENOENT" })
    await rename(join(imagesDir, id), away)
  } catch (error) {
    if (errnoOf(error) !== "ENOENT") throw error
    throw new SidecarError("not-found", `Cannot remove the image "${id}": there is none`, { cause: error })
  }
  await rm(away, { recursive: true, force: true })
}

/** Reads every byte of an image and compares it with its manifest. Throws "image-broken". */
export async function verifyImage(
  image: Image,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const manifest = await readManifest(image.dir)
  if (manifest === undefined) throw brokenError(image.id, `${MANIFEST} cannot be read`)
  for (const [name, file] of Object.entries(manifest.files)) {
    const hash = createHash("sha256")
    try {
      await pipeline(createReadStream(join(image.dir, name)), hash, { signal })
    } catch (cause) {
      signal.throwIfAborted()
      throw brokenError(image.id, `${name} cannot be read`, cause)
    }
    if (hash.digest("hex") !== file.sha256) throw brokenError(image.id, `${name} has changed`)
  }
}

/** Reads the manifest of the image in a directory; undefined if there is no whole one. */
export async function readManifest(dir: string): Promise<Manifest | undefined> {
  const text = await readFile(join(dir, MANIFEST), "utf8").catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return ""
    throw error
  })
  return parse(text)
}

/** Returns the image in a directory named by its id, or why it is none. Looks at sizes only. */
export async function inspect(imagesDir: string, id: string): Promise<Inspection> {
  const dir = join(imagesDir, id)
  const manifest = await readManifest(dir)
  if (manifest === undefined) return { id, reason: `${MANIFEST} is missing or damaged` }
  const { recipeHash: hash } = manifest
  if (manifest.id !== id) return { id, recipeHash: hash, reason: `${MANIFEST} is of another image` }
  for (const name of [FILES.bzImage, FILES.initrd, FILES.root]) {
    if (manifest.files[name] === undefined)
      return { id, recipeHash: hash, reason: `${MANIFEST} names no ${name}` }
  }
  for (const [name, file] of Object.entries(manifest.files)) {
    const size = await stat(join(dir, name)).then(
      (found) => found.size,
      () => undefined,
    )
    if (size === undefined) return { id, recipeHash: hash, reason: `${name} is missing` }
    if (size !== file.size)
      return { id, recipeHash: hash, reason: `${name} has ${size} bytes instead of ${file.size}` }
  }
  return { id, recipeHash: hash, image: imageOf(dir, manifest), reason: "" }
}

/** What was found in a directory that bears the name of an image. */
export interface Inspection {
  readonly id: string
  readonly recipeHash?: string
  readonly image?: Image
  readonly reason: string
}

async function inspectAll(imagesDir: string): Promise<readonly Inspection[]> {
  const names = await readdir(imagesDir).catch((error: unknown) => {
    if (errnoOf(error) === "ENOENT") return []
    throw error
  })
  return await Promise.all(names.filter((name) => ID.test(name)).map((id) => inspect(imagesDir, id)))
}

function imageOf(dir: string, manifest: Manifest): Image {
  const { id, arch, kernelRelease, recipeHash: hash, createdAt, files } = manifest
  return {
    id,
    arch,
    dir,
    kernel: join(dir, files[FILES.kernel] === undefined ? FILES.bzImage : FILES.kernel),
    bzImage: join(dir, FILES.bzImage),
    initrd: join(dir, FILES.initrd),
    root: join(dir, FILES.root),
    kernelRelease,
    recipeHash: hash,
    createdAt,
    bytes: Object.values(files).reduce((sum, file) => sum + file.size, 0),
  }
}

function brokenError(id: string, reason: string, cause?: unknown): SidecarError {
  return new SidecarError("image-broken", `Cannot use the image "${id.slice(0, 12)}": ${reason}`, {
    ...(cause === undefined ? {} : { cause }),
    next: "Build it again with: skep image build",
  })
}
