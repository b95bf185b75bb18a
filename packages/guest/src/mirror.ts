/**
 * Where the host gets its Debian packages from. The guest's come from there too, whatever release the host runs: no
 * address of a mirror is written down in Skep.
 *
 * The host's sources are read one file at a time, by apt itself, so that a broken file of a third party hides only
 * what it says.
 *
 * @module
 */
import { readdir } from "node:fs/promises"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import type { RunOptions } from "./program.ts"
import * as program from "./program.ts"

/** The archives of one release. */
export interface Mirrors {
  readonly main: string
  readonly updates?: string
  readonly security?: string
}

const SUITES =
  /^(bullseye|bookworm|trixie|forky|duke|sid|(old){0,2}stable|testing|unstable)(-updates|-security)?$/
const FORMAT = "$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(ORIGIN)"

/** Finds the Debian mirrors in the host's apt configuration. Throws "download-failed" if there is none. */
export async function find(options: RunOptions): Promise<Mirrors> {
  const lines: string[] = []
  for (const file of await sourceFiles(options)) {
    const only = ["-o", `Dir::Etc::SourceList=${file}`, "-o", "Dir::Etc::SourceParts=/dev/null"]
    const targets = ["indextargets", ...only, "--format", FORMAT, "Created-By: Packages"]
    lines.push(...(await program.run("apt-get", targets, options).catch(unlessMissing)).split("\n"))
  }
  options.signal.throwIfAborted()
  return choose(lines)
}

/** Chooses among lines of `URI|suite|component|origin`, the first of each kind. */
export function choose(lines: readonly string[]): Mirrors {
  const found = new Map<string, string>()
  for (const line of lines) {
    const [uri = "", suite = "", component, origin] = line.split("|")
    // Without downloaded lists apt knows no origin and leaves the variable's name or nothing in its place.
    const foreign = origin !== "Debian" && origin !== "" && origin !== "$(ORIGIN)"
    const match = SUITES.exec(suite.replace("/updates", "-security"))
    if (match === null || component !== "main" || foreign) continue
    const kind = match[3] ?? ""
    if (!found.has(kind)) found.set(kind, uri)
  }
  const main = found.get("") ?? found.get("-updates")
  if (main === undefined) {
    throw new SidecarError(
      "download-failed",
      "Cannot build the guest image: apt on this host names no Debian mirror",
      {
        next: "Add a Debian source to /etc/apt/sources.list.d, of any release",
      },
    )
  }
  const updates = found.get("-updates")
  const security = found.get("-security")
  return {
    main,
    ...(updates === undefined ? {} : { updates }),
    ...(security === undefined ? {} : { security }),
  }
}

async function sourceFiles(options: RunOptions): Promise<readonly string[]> {
  const names = await program.run(
    "apt-config",
    ["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"],
    options,
  )
  const value = (name: string): string => new RegExp(`^${name}='(.*)'$`, "m").exec(names)?.[1] ?? ""
  const parts = await readdir(value("PARTS")).catch(() => [])
  const files = parts.filter((name) => /\.(list|sources)$/.test(name)).toSorted()
  return [value("LIST"), ...files.map((name) => join(value("PARTS"), name))].filter((file) => file !== "")
}

function unlessMissing(error: unknown): string {
  if (error instanceof SidecarError && error.code === "image-build-failed") return ""
  throw error
}
