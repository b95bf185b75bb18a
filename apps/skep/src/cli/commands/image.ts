/**
 * `skep image build|ls|rm`: the guest images on this host.
 *
 * @module
 */
import { readdir } from "node:fs/promises"
import { SidecarError } from "@skep/contract"
import type { Image } from "@skep/guest"
import { buildImageApart } from "../../backend/image-builder/build.ts"
import { Operation } from "../../backend/operation.ts"
import { runPhase } from "../../backend/phase.ts"
import { connectBackend, hasMachines } from "../../client/backend.ts"
import { createHome } from "../../home/paths.ts"
import { hostArch } from "../../machine/arch.ts"
import { formatBytes, formatDuration } from "../output.ts"
import { showProgress } from "../progress.ts"
import type { Session } from "../session.ts"

const PHASE = { name: "image", title: "Guest image", deadlineMs: 30 * 60_000 }
/** How the directory of an image is called: its whole id. */
const ID = /^[0-9a-f]{64}$/

/** Builds the image of the current recipe from the newest packages; a second build of the same inputs does nothing. */
export async function imageBuild(session: Session): Promise<void> {
  await createHome(session.home)
  const image = await buildImage(session)
  if (session.output.json) session.output.item({ type: "done", image })
  else
    session.output.note(`Image ${short(image.id)}: Linux ${image.kernelRelease}, ${formatBytes(image.bytes)}`)
}

/** Builds with progress. When it returns or throws, nothing half-made is left. */
export async function buildImage(session: Session): Promise<Image> {
  const { home, output } = session
  let image: Image | undefined
  const building = new Operation({
    kind: "image build",
    needsWatcher: true,
    work: async (report, signal) => {
      image = await runPhase(PHASE, report, signal, (limit) =>
        buildImageApart({
          imagesDir: home.images,
          cacheDir: home.cache,
          arch: hostArch(),
          signal: limit,
          onProgress: ({ step, detail }) => {
            const text = detail === undefined ? step : `${step}: ${detail}`
            report({ type: "detail", phase: PHASE.name, text })
          },
        }),
      )
    },
  })
  await showProgress(output, building.watch(session.signal))
  // Ctrl-C ends the watching at once; the builder then clears up, which `done` waits for.
  if (building.aborted) await building.done.catch(() => undefined)
  session.signal.throwIfAborted()
  if (image === undefined) throw new SidecarError("internal", "The build ended without an image")
  return image
}

export async function imageList(session: Session): Promise<void> {
  const { listImages, currentImage } = await import("@skep/guest")
  const images = await listImages(session.home.images)
  const broken = await brokenImages(session.home.images, images)
  const current = await currentImage(session.home.images, hostArch()).catch(() => undefined)
  const { output } = session
  if (output.json) {
    output.value([
      ...images.map((image) => ({ ...image, current: image.id === current?.id })),
      ...broken.map((id) => ({ id, current: false, broken: true })),
    ])
    return
  }
  if (images.length + broken.length === 0) {
    output.note("There are no images yet. Build one with: skep image build")
    return
  }
  output.table(
    ["ID", "CURRENT", "ARCH", "LINUX", "SIZE", "AGE"],
    [
      ...images.map((image) => [
        short(image.id),
        image.id === current?.id ? "*" : "",
        image.arch,
        image.kernelRelease,
        formatBytes(image.bytes),
        formatDuration(Date.now() - Date.parse(image.createdAt)),
      ]),
      ...broken.map((id) => [short(id), "", "broken", "-", "-", "-"]),
    ],
  )
}

/** Removes images, broken ones too, by their id or the beginning of it; `unused` removes all but the current one. */
export async function imageRemove(session: Session, ids: readonly string[], unused: boolean): Promise<void> {
  if (unused === ids.length > 0) {
    throw new SidecarError("bad-options", "Cannot remove images: it takes their ids, or else --unused", {
      next: "skep image ls shows them",
    })
  }
  const { listImages, currentImage, removeImage } = await import("@skep/guest")
  await refuseWhileRunning(session)
  const images = await listImages(session.home.images)
  const all = [...images.map((image) => image.id), ...(await brokenImages(session.home.images, images))]
  const current = unused
    ? await currentImage(session.home.images, hostArch()).catch(() => undefined)
    : undefined
  const chosen = unused ? all.filter((id) => id !== current?.id) : ids.map((id) => unique(all, id))
  for (const id of chosen) {
    const bytes = images.find((image) => image.id === id)?.bytes
    await removeImage(session.home.images, id)
    if (session.output.json) session.output.item({ type: "removed", id })
    else
      session.output.note(
        `Image ${short(id)} is removed (${bytes === undefined ? "broken" : formatBytes(bytes)})`,
      )
  }
}

/** The ids of those that are there but not whole. */
async function brokenImages(imagesDir: string, whole: readonly Image[]): Promise<readonly string[]> {
  const names = await readdir(imagesDir).catch(() => [])
  return names.filter((name) => ID.test(name) && !whole.some((image) => image.id === name))
}

/** A running machine reads its root from the image: taking it away would break it. */
async function refuseWhileRunning(session: Session): Promise<void> {
  if (!(await hasMachines(session.home))) return
  const machines = await (await connectBackend(session.home, session.signal)).machines()
  const running = machines.find((machine) => machine.vm !== undefined)
  if (running === undefined) return
  throw new SidecarError(
    "busy",
    `Cannot remove an image: the machine "${running.name}" is ${running.state} and may use it`,
    {
      next: `Stop it first with skep stop ${running.name}`,
    },
  )
}

/** A beginning that could be a slip, such as an unset variable, names no image. */
const ID_LETTERS_MIN = 4

function unique(ids: readonly string[], wanted: string): string {
  if (wanted.length < ID_LETTERS_MIN) {
    throw new SidecarError(
      "bad-options",
      `Cannot remove the image "${wanted}": an id needs ${ID_LETTERS_MIN} letters at least`,
      { next: "skep image ls shows them" },
    )
  }
  const found = [...new Set(ids)].filter((id) => id.startsWith(wanted))
  const [only, ...others] = found
  if (only !== undefined && others.length === 0) return only
  const reason = only === undefined ? "there is none" : `${found.length} images begin so`
  throw new SidecarError("not-found", `Cannot remove the image "${wanted}": ${reason}`, {
    next: "skep image ls shows them",
  })
}

function short(id: string): string {
  return id.slice(0, 12)
}
