/**
 * `skep docker-cli`: a docker command for hosts without one. Debian 12 packages it with a daemon, which a host need not run, so
 * the program alone is taken out of the package that the guest is made of.
 *
 * @module
 */
import { join } from "node:path"
import { SidecarError } from "@skep/contract"
import { currentImage, hostDockerCli, type Image } from "@skep/guest"
import { privateDirectory } from "@skep/runtime/files"
import { exportLine, findDocker } from "../../context/docker-command.ts"
import { createHome } from "../../home/paths.ts"
import { hostArch } from "../../machine/arch.ts"
import type { Session } from "../session.ts"
import { buildImage } from "./image.ts"

/** Prints the path of the docker command, after making it if there is none. */
export async function dockerCli(session: Session): Promise<void> {
  const { output, home } = session
  const found = await findDocker(process.env, home.bin)
  const docker = found ?? { path: await take(session), isOnPath: false }
  if (found === undefined) output.note(`For a plain docker: ${exportLine(home.bin)}`)
  if (output.json) output.value({ ...docker, made: found === undefined })
  else output.line(docker.path)
}

async function take(session: Session): Promise<string> {
  const { home, output, signal } = session
  const path = join(home.bin, "docker")
  output.note(`There is no docker command on this host: taking the one of Debian's docker.io to ${path}`)
  await createHome(home)
  await privateDirectory(home.bin)
  const image = (await currentOrNone(home.images)) ?? (await buildImage(session))
  await hostDockerCli({ image, cacheDir: home.cache, path, signal })
  return path
}

async function currentOrNone(imagesDir: string): Promise<Image | undefined> {
  try {
    return await currentImage(imagesDir, hostArch())
  } catch (error) {
    if (error instanceof SidecarError && error.code === "image-broken") return undefined
    throw error
  }
}
