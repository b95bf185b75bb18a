/**
 * A container image without a registry: Debian's busybox-static, imported.
 *
 * @module
 */
import { chmodSync, copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
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
  await importRoot(skep, IMAGE, async () => undefined)
}

/** Makes an image of busybox, and of what `add` puts into its root. */
export async function importRoot(
  skep: Skep,
  image: string,
  add: (rootfs: string) => Promise<void>,
): Promise<void> {
  const rootfs = await mkdtemp(join(tmpdir(), "bb-"))
  const archive = `${rootfs}.tar`
  try {
    for (const name of ["bin", "tmp", "etc", "www", "data"]) mkdirSync(join(rootfs, name))
    copyFileSync("/bin/busybox", join(rootfs, "bin/busybox"))
    for (const applet of APPLETS) symlinkSync("busybox", join(rootfs, "bin", applet))
    writeFileSync(join(rootfs, "etc/passwd"), "root:x:0:0:root:/:/bin/sh\n")
    writeFileSync(join(rootfs, "www/index.html"), PAGE)
    chmodSync(join(rootfs, "tmp"), 0o1777)
    await add(rootfs)
    await run("tar", ["-C", rootfs, "--owner=0", "--group=0", "-cf", archive, "."])
    await skep.docker(["--context", "skep", "import", "--change", 'CMD ["/bin/sh"]', archive, image])
  } finally {
    rmSync(archive, { force: true })
    rmSync(rootfs, { recursive: true })
  }
}
