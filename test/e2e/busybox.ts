/**
 * A container image without a registry: Debian's busybox-static, imported.
 *
 * @module
 */
import { copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { mkdtemp } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { run, type Skep } from "./skep.ts"

const APPLETS = [
  "sh",
  "cat",
  "echo",
  "true",
  "false",
  "sleep",
  "ls",
  "httpd",
  "nc",
  "wget",
  "head",
  "sha256sum",
  "id",
  "touch",
  "sync",
  "stty",
  "tty",
  "dd",
  "seq",
  "mkdir",
  "rm",
  "env",
  "hostname",
  "udhcpc",
]

export const IMAGE = "busybox"
export const PAGE = "a page from a container\n"

/** Starts a container that serves that page on its port 80, published as `publish` says; returns its id. */
export async function runHttpd(skep: Skep, publish: string, ...more: string[]): Promise<string> {
  const served = [IMAGE, "httpd", "-f", "-p", "80", "-h", "/www"]
  const { stdout } = await skep.docker(["run", "-d", "-p", publish, ...more, ...served])
  return stdout.trim()
}

/** Makes `busybox:latest` in the machine, with a page to serve. */
export async function importBusybox(skep: Skep): Promise<void> {
  const rootfs = await mkdtemp(join(tmpdir(), "bb-"))
  for (const name of ["bin", "tmp", "etc", "www", "data"]) mkdirSync(join(rootfs, name))
  copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"))
  for (const applet of APPLETS) symlinkSync("busybox", join(rootfs, "bin", applet))
  writeFileSync(join(rootfs, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")
  writeFileSync(join(rootfs, "www/index.html"), PAGE)
  const archive = `${rootfs}.tar`
  await run("tar", ["-C", rootfs, "-cf", archive, "."])
  await skep.docker(["--context", "skep", "import", "--change", 'CMD ["/bin/sh"]', archive, IMAGE])
  rmSync(archive)
  rmSync(rootfs, { recursive: true })
}
