/**
 * Builds the guest image: Debian packages in, a kernel, an initial RAM disk and a read-only root out. No root
 * privileges, no debootstrap, no maintainer script; equal inputs give equal bytes.
 *
 * ```
 * host's mirrors -> apt lists -> packages -> .deb cache -> entries -> staging tree -> mkfs.erofs -> root.erofs
 *                                                           \-> cpio -> initrd.img     vmlinuz, vmlinux, manifest.json
 * ```
 * All is written to a temporary directory that is renamed to its final name as the last step.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { open as openFile, rename, rm, stat, writeFile } from "node:fs/promises"
import { availableParallelism } from "node:os"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { type Log, SidecarError } from "@skep/contract"
import type { Apt, Package } from "./apt.ts"
import * as apt from "./apt.ts"
import * as archive from "./archive.ts"
import * as contents from "./contents.ts"
import * as cpio from "./cpio.ts"
import { matcher } from "./glob.ts"
import * as kernel from "./kernel.ts"
import { FILES, MANIFEST, type Manifest } from "./manifest.ts"
import type { Mirrors } from "./mirror.ts"
import * as mirror from "./mirror.ts"
import type { RunOptions } from "./program.ts"
import * as program from "./program.ts"
import { type Arch, type Recipe, recipe } from "./recipe.ts"
import { readSources, recipeHash } from "./sources.ts"
import { type Image, inspect, removeImage } from "./store.ts"
import { complete, type Entry, write } from "./tree.ts"
import * as workplace from "./workplace.ts"

export interface BuildOptions {
  readonly imagesDir: string
  /** Holds the packages and apt's lists between builds. Anything in it can be removed at any time but during a build. */
  readonly cacheDir: string
  readonly arch: Arch
  readonly signal: AbortSignal
  readonly log: Log
  readonly onProgress?: (progress: Progress) => void
  /** The Debian mirrors; by default those of the host's apt. */
  readonly mirrors?: Mirrors
  /** Where programs are searched; by default the PATH of this process. */
  readonly programPath?: string
}

export interface Progress {
  readonly step: string
  readonly detail?: string
  /** How much of the whole build is done, from 0 to 1. */
  readonly fraction?: number
}

/** The identity of the file system; fixed, as the image's own id tells images apart. */
const ROOT_UUID = "5ebf0000-0000-4000-8000-736b65700001"

/**
 * Builds the image of the current recipe from the newest packages, or returns the one there is if nothing has changed.
 * Throws "unsupported-arch", "host-program-missing", "download-failed", "disk-full", "busy", "image-build-failed".
 */
export async function buildImage(options: BuildOptions): Promise<Image> {
  const plan = recipe(options.arch)
  const run: RunOptions = {
    signal: options.signal,
    ...(options.programPath === undefined ? {} : { env: { PATH: options.programPath } }),
  }
  options.signal.throwIfAborted()
  await program.check(run)
  try {
    const work = await workplace.open(options.imagesDir)
    try {
      return await buildIn(work, plan, options, run)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  } catch (error) {
    // Streams report an abort in their own words.
    options.signal.throwIfAborted()
    throw isDiskFull(error) ? diskFull(options, error) : error
  }
}

async function buildIn(work: string, plan: Recipe, options: BuildOptions, run: RunOptions): Promise<Image> {
  const tell = (step: string, fraction: number, detail?: string): void => {
    options.signal.throwIfAborted()
    options.onProgress?.({ step, fraction, ...(detail === undefined ? {} : { detail }) })
  }
  tell("packages", 0, "reading the lists of Debian packages")
  const mirrors = options.mirrors ?? (await mirror.find(run))
  const source = await apt.open({
    cacheDir: options.cacheDir,
    release: plan.release,
    arch: plan.arch,
    mirrors,
    run,
  })
  await apt.update(source)
  const packages = await choosePackages(source, plan)
  const hash = await recipeHash(plan.arch)
  const id = imageId(hash, packages)
  const existing = await inspect(options.imagesDir, id)
  if (existing.image !== undefined) return existing.image
  options.log.info("building an image", { id, packages: packages.length })

  const megabytes = Math.round(packages.reduce((sum, each) => sum + each.size, 0) / 1e6)
  tell("download", 0.1, `${packages.length} packages, ${megabytes} MB`)
  await apt.download(source, packages)
  const made = await writeFiles(work, { plan, packages, source, tell })
  const manifest: Manifest = {
    format: 1,
    id,
    arch: plan.arch,
    recipeHash: hash,
    kernelRelease: made.kernelRelease,
    createdAt: new Date().toISOString(),
    files: await describeFiles(work, options.signal),
    packages: packages.map(({ name, version, architecture, sha256 }) => ({
      name,
      version,
      architecture,
      sha256,
    })),
  }
  await writeFile(join(work, MANIFEST), `${JSON.stringify(manifest, null, 2)}\n`)
  await putInPlace(work, options.imagesDir, id)
  const image = (await inspect(options.imagesDir, id)).image
  if (image === undefined)
    throw new SidecarError(
      "image-build-failed",
      "Cannot build the guest image: it is not whole after the build",
    )
  options.log.info("image built", { id, bytes: image.bytes })
  return image
}

/** The packages of the recipe in their newest versions, and the kernel that the release's kernel package stands for. */
async function choosePackages(source: Apt, plan: Recipe): Promise<readonly Package[]> {
  const [meta] = await apt.resolve(source, [plan.kernelPackage])
  const kernelName = /linux-image-[^ ,]+/.exec(meta?.depends ?? "")?.[0]
  if (kernelName === undefined) {
    throw new SidecarError(
      "image-build-failed",
      `Cannot build the guest image: ${plan.kernelPackage} names no kernel`,
    )
  }
  return await apt.resolve(source, [...plan.packages.map((each) => each.name), kernelName])
}

function imageId(hash: string, packages: readonly Package[]): string {
  const lines = packages.map((each) => `${each.name} ${each.version} ${each.architecture} ${each.sha256}\n`)
  return createHash("sha256").update(hash).update(lines.toSorted().join("")).digest("hex")
}

interface Work {
  readonly plan: Recipe
  readonly packages: readonly Package[]
  readonly source: Apt
  readonly tell: (step: string, fraction: number, detail?: string) => void
}

async function writeFiles(
  work: string,
  { plan, packages, source, tell }: Work,
): Promise<{ readonly kernelRelease: string }> {
  const picks = new Map(plan.packages.map((each) => [each.name, each.files]))
  let done = 0
  const read = async (each: Package): Promise<readonly Entry[]> => {
    const files = picks.get(each.name)
    const entries = await unpack(source, each, files === undefined ? kernel.wanted : matcher(files))
    done += 1
    tell("unpack", 0.4 + (0.4 * done) / packages.length, each.name)
    return entries
  }
  const perPackage = await mapLimited(packages, availableParallelism(), read)
  const isKernel = (index: number): boolean => !picks.has(packages[index]?.name ?? "")
  const chosen = kernel.assemble(perPackage.filter((_, index) => isKernel(index)).flat(), plan.modules)
  const packaged = perPackage.filter((_, index) => !isKernel(index)).flat()
  const sources = await readSources()

  tell("kernel", 0.8, chosen.release)
  await writeFile(join(work, FILES.bzImage), chosen.bzImage)
  if (chosen.elf !== undefined) await writeFile(join(work, FILES.kernel), chosen.elf)
  await writeFile(join(work, FILES.initrd), cpio.emit(complete(contents.initial(packaged, chosen, sources))))
  tell("root", 0.85)
  const staging = join(work, "staging")
  await write(staging, contents.root(packaged, chosen, sources))
  const fixed = ["-T0", `-U${ROOT_UUID}`, "--all-root", "-x-1"]
  await program.run("mkfs.erofs", ["--quiet", ...fixed, join(work, FILES.root), staging], source.run)
  await rm(staging, { recursive: true })
  return { kernelRelease: chosen.release }
}

async function unpack(
  source: Apt,
  each: Package,
  wanted: (path: string) => boolean,
): Promise<readonly Entry[]> {
  const tar = program.open("dpkg-deb", ["--fsys-tarfile", apt.debFile(source.debs, each)], source.run)
  const [entries] = await Promise.all([archive.read(tar.stdout, wanted, source.run.signal), tar.done])
  if (entries.length > 0) return entries
  throw new SidecarError(
    "image-build-failed",
    `Cannot build the guest image: ${each.name} ${each.version} lacks the files that the recipe wants`,
  )
}

async function describeFiles(work: string, signal: AbortSignal): Promise<Manifest["files"]> {
  const files: Record<string, { readonly sha256: string; readonly size: number }> = {}
  for (const name of Object.values(FILES)) {
    const path = join(work, name)
    const size = await stat(path).then(
      (found) => found.size,
      () => undefined,
    )
    if (size === undefined) continue
    const hash = createHash("sha256")
    await pipeline(createReadStream(path), hash, { signal })
    files[name] = { sha256: hash.digest("hex"), size }
    await sync(path)
  }
  return files
}

/** The last step: from here on there is an image. A broken one of the same id makes room. */
async function putInPlace(work: string, imagesDir: string, id: string): Promise<void> {
  await sync(join(work, MANIFEST))
  await removeImage(imagesDir, id).catch((error: unknown) => {
    if (!(error instanceof SidecarError) || error.code !== "not-found") throw error
  })
  await rename(work, join(imagesDir, id))
}

async function sync(path: string): Promise<void> {
  const handle = await openFile(path, "r")
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Maps with at most `limit` calls at a time, keeping the order; after a failure no further call starts. */
async function mapLimited<T, R>(
  items: readonly T[],
  limit: number,
  map: (item: T) => Promise<R>,
): Promise<readonly R[]> {
  const results = new Map<number, R>()
  const queue = items.entries()
  let failed = false
  const worker = async (): Promise<void> => {
    for (const [index, item] of queue) {
      if (failed) return
      results.set(index, await map(item))
    }
  }
  try {
    await Promise.all(Array.from({ length: limit }, worker))
  } catch (error) {
    failed = true
    throw error
  }
  return [...results.entries()].toSorted((a, b) => a[0] - b[0]).map(([, result]) => result)
}

function isDiskFull(error: unknown): boolean {
  return error instanceof Error && "code" in error && error.code === "ENOSPC"
}

function diskFull({ imagesDir }: BuildOptions, cause: unknown): SidecarError {
  return new SidecarError("disk-full", `Cannot build the guest image in "${imagesDir}": the disk is full`, {
    cause,
    next: "An image takes 350 MB, building it 350 MB more for a moment and 110 MB for packages",
  })
}
