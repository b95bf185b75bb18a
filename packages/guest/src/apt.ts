/**
 * A private apt: its own lists, cache and empty package status, so that the host's packages play no part and nothing
 * of the host changes. It asks the host's mirror for the guest's release and checks every download by Debian's
 * signatures, as apt does.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { createReadStream } from "node:fs"
import { access, mkdir, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { pipeline } from "node:stream/promises"
import { SidecarError } from "@skep/contract"
import type { Mirrors } from "./mirror.ts"
import type { RunOptions } from "./program.ts"
import * as program from "./program.ts"

/** A package of the release, as its signed index describes it. */
export interface Package {
  readonly name: string
  readonly version: string
  readonly architecture: string
  readonly sha256: string
  readonly size: number
  readonly depends: string
}

export interface Apt {
  readonly debs: string
  readonly run: RunOptions
}

export interface AptOptions {
  readonly cacheDir: string
  readonly release: string
  readonly arch: string
  readonly mirrors: Mirrors
  readonly run: RunOptions
}

const KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
/** What of the host's configuration reaches our apt: how to get out, not what to get. */
const HOST_SETTINGS = /^Acquire::(https?::|Retries |ForceIPv[46] |Check-Valid-Until |Check-Date )/

/** Sets the private apt up below `cacheDir`. Downloads nothing. */
export async function open(options: AptOptions): Promise<Apt> {
  const state = join(options.cacheDir, "apt", `${options.release}-${options.arch}`)
  const debs = join(options.cacheDir, "debs")
  await Promise.all(
    [join(state, "lists/partial"), join(state, "archives/partial"), debs].map((each) =>
      mkdir(each, { recursive: true }),
    ),
  )
  const config = join(state, "apt.conf")
  const host = (await program.run("apt-config", ["dump", "Acquire"], options.run))
    .split("\n")
    .filter((line) => HOST_SETTINGS.test(line))
  await writeFile(join(state, "status"), "")
  await writeFile(join(state, "sources.list"), await sources(options))
  // A proxy's address may hold a password.
  await writeFile(config, configuration(state, options.arch, host), { mode: 0o600 })
  return { debs, run: { ...options.run, env: { ...options.run.env, APT_CONFIG: config } } }
}

/** Fetches the lists of packages. Without a network the lists of the last time stay in use. */
export async function update(apt: Apt): Promise<void> {
  try {
    await program.run("apt-get", ["update", "-qq"], apt.run)
  } catch (error) {
    if (!(error instanceof SidecarError) || error.code !== "image-build-failed") throw error
    throw new SidecarError("download-failed", "Cannot download the lists of Debian packages", {
      cause: error,
      detail: error.detail,
      next: "Check the network and that debian-archive-keyring is installed",
    })
  }
}

/** Returns the newest version of each named package. Throws "download-failed" if one is unknown. */
export async function resolve(apt: Apt, names: readonly string[]): Promise<readonly Package[]> {
  const text = await program
    .run("apt-cache", ["show", "--no-all-versions", ...names], apt.run)
    .catch(unlessMissing)
  const found = new Map(parse(text).map((each) => [each.name, each]))
  const missing = names.filter((name) => !found.has(name))
  if (missing.length > 0) {
    throw new SidecarError(
      "download-failed",
      `Cannot find the Debian packages ${missing.slice(0, 5).join(", ")}`,
      {
        next: "Check the network: the lists of packages could not be downloaded in full",
      },
    )
  }
  return names.flatMap((name) => found.get(name) ?? [])
}

/** Reads stanzas of a package index (deb822). */
export function parse(text: string): readonly Package[] {
  return text
    .split(/\n\n+/)
    .map(
      (stanza) =>
        new Map(
          stanza
            .split("\n")
            .map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]),
        ),
    )
    .filter((fields) => fields.has("Package") && fields.has("SHA256"))
    .map((fields) => ({
      name: fields.get("Package") ?? "",
      version: fields.get("Version") ?? "",
      architecture: fields.get("Architecture") ?? "",
      sha256: fields.get("SHA256") ?? "",
      size: Number(fields.get("Size")),
      depends: fields.get("Depends") ?? "",
    }))
}

/** Downloads the packages that the cache does not hold yet. Throws "download-failed". */
export async function download(apt: Apt, packages: readonly Package[]): Promise<void> {
  const wanted = await missing(apt, packages)
  if (wanted.length === 0) return
  const names = wanted.map((each) => `${each.name}=${each.version}`)
  const problem = await program
    .run("apt-get", ["download", "-qq", ...names], { ...apt.run, cwd: apt.debs })
    .then(() => undefined, keep)
  const left = await missing(apt, wanted)
  if (left.length === 0) return
  throw new SidecarError("download-failed", `Cannot download the Debian package ${left[0]?.name}`, {
    ...(problem === undefined ? {} : { cause: problem, detail: problem.detail }),
    next: "Check the network and try again: what has arrived is kept",
  })
}

/** The file in the cache that holds a package. */
export function debFile(debs: string, each: Pick<Package, "name" | "version" | "architecture">): string {
  return join(debs, `${each.name}_${each.version.replaceAll(":", "%3a")}_${each.architecture}.deb`)
}

async function missing(apt: Apt, packages: readonly Package[]): Promise<readonly Package[]> {
  const left: Package[] = []
  for (const each of packages) {
    if ((await sha256(debFile(apt.debs, each), apt.run.signal)) !== each.sha256) left.push(each)
  }
  return left
}

async function sha256(path: string, signal: AbortSignal): Promise<string | undefined> {
  if (!(await exists(path))) return undefined
  const hash = createHash("sha256")
  await pipeline(createReadStream(path), hash, { signal })
  return hash.digest("hex")
}

async function sources({ mirrors, release }: AptOptions): Promise<string> {
  // Without the keyring apt falls back on the keys the host trusts.
  const keys = (await exists(KEYRING)) ? ` [signed-by=${KEYRING}]` : ""
  const lines = [`deb${keys} ${mirrors.main} ${release} main`]
  if (mirrors.updates !== undefined) lines.push(`deb${keys} ${mirrors.updates} ${release}-updates main`)
  if (mirrors.security !== undefined) lines.push(`deb${keys} ${mirrors.security} ${release}-security main`)
  return `${lines.join("\n")}\n`
}

function configuration(state: string, arch: string, host: readonly string[]): string {
  const settings: readonly (readonly [name: string, value: string])[] = [
    ["Dir::Etc::Main", "/dev/null"],
    ["Dir::Etc::Parts", "/dev/null"],
    ["Dir::Etc::SourceList", join(state, "sources.list")],
    ["Dir::Etc::SourceParts", "/dev/null"],
    ["Dir::Etc::Preferences", "/dev/null"],
    ["Dir::Etc::PreferencesParts", "/dev/null"],
    ["Dir::State", state],
    ["Dir::State::Lists", join(state, "lists")],
    ["Dir::State::Status", join(state, "status")],
    ["Dir::Cache", state],
    ["Dir::Cache::Archives", join(state, "archives")],
    ["APT::Architecture", arch],
    ["APT::Architectures", arch],
    // The sandbox user could not read a private cache. As root it is switched off, otherwise it is never used.
    ["APT::Sandbox::User", "root"],
    ["Acquire::Languages", "none"],
    ["Acquire::Retries", "3"],
  ]
  return [...settings.map(([name, value]) => `${name} ${JSON.stringify(value)};`), ...host, ""].join("\n")
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}

function unlessMissing(error: unknown): string {
  keep(error)
  return ""
}

/** Holds a failure of a program back until it is known whether it matters; anything else is thrown on. */
function keep(error: unknown): SidecarError {
  if (error instanceof SidecarError && error.code === "image-build-failed") return error
  throw error
}
