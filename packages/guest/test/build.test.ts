/** buildImage() against a fake host: no network, no privileges, no real packages. */
import { mkdir, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, expect, test } from "vitest"
import {
  type BuildOptions,
  buildImage,
  currentImage,
  hostDockerCli,
  listImages,
  removeImage,
  verifyImage,
} from "../src/index.ts"
import { type FakeHost, fakeHost } from "./fake-host.ts"

const mirrors = { main: "mirror:/debian" }
const log = { info: () => undefined, debug: () => undefined, error: () => undefined }
let directory: string
let imagesDir: string
let host: FakeHost

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "skep-guest-"))
  imagesDir = join(directory, "images")
  host = await fakeHost(directory)
})

afterEach(async () => {
  await rm(directory, { recursive: true })
})

function options(more: Partial<BuildOptions> = {}): BuildOptions {
  const signal = new AbortController().signal
  const { programPath } = host
  return {
    imagesDir,
    cacheDir: join(directory, "cache"),
    arch: "amd64",
    signal,
    log,
    mirrors,
    programPath,
    ...more,
  }
}

test("buildImage() makes an image that is whole, current and listed", async () => {
  const steps: string[] = []
  const image = await buildImage(options({ onProgress: ({ step }) => steps.push(step) }))
  await verifyImage(image)
  expect(await currentImage(imagesDir, "amd64")).toEqual(image)
  expect(await listImages(imagesDir)).toEqual([image])
  expect(image.kernelRelease).toBe("6.1.0-0-test")
  expect([...new Set(steps)]).toEqual(["packages", "download", "unpack", "kernel", "root"])
  // The fake kernel is no bzImage, so there is nothing to unpack.
  expect(image.kernel).toBe(image.bzImage)
  expect(await readdir(imagesDir)).toEqual([image.id])
})

test("buildImage() returns the image there is while nothing has changed, without downloads", async () => {
  const first = await buildImage(options())
  await host.script("dpkg-deb", '[ "$1" = --version ]')
  expect(await buildImage(options())).toEqual(first)
})

test("buildImage() gives equal bytes in another place", async () => {
  const one = await buildImage(options())
  const two = await buildImage(options({ imagesDir: join(directory, "other") }))
  expect(two.id).toBe(one.id)
  expect(await readFile(two.initrd)).toEqual(await readFile(one.initrd))
})

test("buildImage() works from the cache when downloads fail", async () => {
  const first = await buildImage(options())
  await removeImage(imagesDir, first.id)
  await host.script("apt-get", '[ "$1" != download ]')
  expect((await buildImage(options())).id).toBe(first.id)
})

test("buildImage() says download-failed when a package does not arrive", async () => {
  await host.script("apt-get", '[ "$1" != download ]')
  await expect(buildImage(options())).rejects.toMatchObject({ code: "download-failed" })
  expect(await readdir(imagesDir)).toEqual([])
})

test("buildImage() says download-failed when the package lists cannot be fetched at all", async () => {
  await host.script("apt-get", '[ "$1" != update ] || { echo "E: no network" >&2; exit 100; }')
  await expect(buildImage(options())).rejects.toMatchObject({
    code: "download-failed",
    detail: ["E: no network"],
  })
})

test("buildImage() names the Debian package of a missing program", async () => {
  await host.remove("mkfs.erofs")
  await expect(buildImage(options())).rejects.toMatchObject({
    code: "host-program-missing",
    next: "Install it with: apt-get install erofs-utils",
  })
})

test("buildImage() refuses an architecture that does not work yet", async () => {
  await expect(buildImage(options({ arch: "arm64" }))).rejects.toMatchObject({ code: "unsupported-arch" })
})

test("buildImage() says disk-full when mkfs.erofs has no space", async () => {
  await host.script("mkfs.erofs", '[ "$1" = -V ] || { echo "write: No space left on device" >&2; exit 1; }')
  await expect(buildImage(options())).rejects.toMatchObject({ code: "disk-full" })
  expect(await readdir(imagesDir)).toEqual([])
})

test("buildImage() leaves nothing when it is aborted, and rejects with the signal's reason", async () => {
  for (const at of ["packages", "download", "unpack", "kernel", "root"]) {
    const controller = new AbortController()
    const reason = new Error(`aborted at ${at}`)
    const onProgress = ({ step }: { readonly step: string }): void => {
      if (step === at) controller.abort(reason)
    }
    await expect(buildImage(options({ signal: controller.signal, onProgress }))).rejects.toBe(reason)
    expect(await readdir(imagesDir)).toEqual([])
  }
})

test("buildImage() clears what a killed build left behind", async () => {
  // No process has had these pids with this start.
  for (const pid of [1, process.pid]) {
    await mkdir(join(imagesDir, `.building-${pid}-0123456789abcdef-dead/staging`), { recursive: true })
  }
  const image = await buildImage(options())
  expect(await readdir(imagesDir)).toEqual([image.id])
})

test("buildImage() says busy while another build runs", async () => {
  let second: Promise<unknown> | undefined
  const onProgress = ({ step }: { readonly step: string }): void => {
    if (step === "kernel") second = buildImage(options()).catch((error: unknown) => error)
  }
  await buildImage(options({ onProgress }))
  expect(await second).toMatchObject({ code: "busy" })
})

test("currentImage() says image-broken for a truncated file, and a build repairs it", async () => {
  const image = await buildImage(options())
  await truncate(image.root, 1)
  await expect(currentImage(imagesDir, "amd64")).rejects.toMatchObject({ code: "image-broken" })
  expect(await listImages(imagesDir)).toEqual([])
  await buildImage(options())
  expect((await currentImage(imagesDir, "amd64"))?.id).toBe(image.id)
})

test("currentImage() says image-broken for a missing or damaged manifest", async () => {
  const image = await buildImage(options())
  const manifest = join(image.dir, "manifest.json")
  for (const text of [
    "{",
    "{}",
    '{"format":2}',
    (await readFile(manifest, "utf8")).replaceAll(image.id, "0".repeat(64)),
  ]) {
    await writeFile(manifest, text)
    await expect(currentImage(imagesDir, "amd64")).rejects.toMatchObject({ code: "image-broken" })
  }
  await rm(manifest)
  await expect(currentImage(imagesDir, "amd64")).rejects.toMatchObject({ code: "image-broken" })
})

test("currentImage() finds nothing where there is nothing", async () => {
  expect(await currentImage(join(directory, "nowhere"), "amd64")).toBeUndefined()
})

test("verifyImage() finds a changed byte that currentImage() does not look for", async () => {
  const image = await buildImage(options())
  const bytes = await readFile(image.initrd)
  bytes[9] = 0x58
  await writeFile(image.initrd, bytes)
  expect(await currentImage(imagesDir, "amd64")).toEqual(image)
  await expect(verifyImage(image)).rejects.toMatchObject({ code: "image-broken" })
})

test("removeImage() removes, and says not-found for anything else", async () => {
  const image = await buildImage(options())
  await removeImage(imagesDir, image.id)
  expect(await readdir(imagesDir)).toEqual([])
  for (const id of [image.id, "..", ""]) {
    await expect(removeImage(imagesDir, id)).rejects.toMatchObject({ code: "not-found" })
  }
})

test("hostDockerCli() takes the program out of the cached package", async () => {
  const image = await buildImage(options())
  const path = join(directory, "docker")
  const { signal } = options()
  const request = { image, cacheDir: join(directory, "cache"), path, signal, programPath: host.programPath }
  await hostDockerCli(request)
  expect(await readFile(path, "utf8")).toBe("content of /usr/bin/docker")
  expect((await stat(path)).mode & 0o777).toBe(0o755)
  await rm(join(directory, "cache"), { recursive: true })
  await expect(hostDockerCli(request)).rejects.toMatchObject({ code: "not-found" })
})
