/**
 * The docker command for hosts that have none: taken from the Debian package that the guest was made of.
 *
 * @module
 */
import { randomUUID } from "node:crypto"
import { chmod, rename, rm, stat, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { debFile } from "./apt.ts"
import * as archive from "./archive.ts"
import * as program from "./program.ts"
import { type Image, readManifest } from "./store.ts"

const PACKAGE = "docker.io"
const PROGRAM = "usr/bin/docker"

export interface DockerCliOptions {
  readonly image: Image
  /** The `cacheDir` of the build. */
  readonly cacheDir: string
  /** Where the program goes. Its directory must exist; what is there is replaced. */
  readonly path: string
  readonly signal: AbortSignal
  /** Where programs are searched; by default the PATH of this process. */
  readonly programPath?: string
}

/** Writes the docker command to a path. Throws "not-found" if the package is not in the cache any more. */
export async function hostDockerCli(options: DockerCliOptions): Promise<void> {
  const { image, cacheDir, path, signal } = options
  const env = options.programPath === undefined ? {} : { env: { PATH: options.programPath } }
  const manifest = await readManifest(image.dir)
  const each = manifest?.packages.find((candidate) => candidate.name === PACKAGE)
  const deb = each === undefined ? undefined : debFile(join(cacheDir, "debs"), each)
  if (
    deb === undefined ||
    !(await stat(deb).then(
      () => true,
      () => false,
    ))
  ) {
    throw new SidecarError(
      "not-found",
      `Cannot take the docker command out of the package ${PACKAGE}: it is not in "${cacheDir}"`,
      {
        next: `Fetch it again: skep image rm ${image.id.slice(0, 12)}, then skep image build`,
      },
    )
  }
  const tar = program.open("dpkg-deb", ["--fsys-tarfile", deb], { signal, ...env })
  const [[entry]] = await Promise.all([
    archive.read(tar.stdout, (name) => name === `/${PROGRAM}`, signal),
    tar.done,
  ])
  if (entry?.type !== "file")
    throw new SidecarError("not-found", `Cannot take the docker command out of "${deb}": it has none`)
  const temporary = `${path}.${randomUUID()}`
  try {
    await writeFile(temporary, entry.data)
    await chmod(temporary, 0o755)
    await rename(temporary, path)
  } catch (error) {
    await rm(temporary, { force: true })
    throw error
  }
}
