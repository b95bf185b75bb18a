/**
 * `skep image build|ls|rm`: the guest images on this host.
 *
 * @module
 */
import { SidecarError } from "@skep/contract"
import type { Image } from "@skep/guest"
import { silentLog } from "@skep/runtime"
import { Operation } from "../../backend/operation.ts"
import { runPhase } from "../../backend/phase.ts"
import { connectBackend, hasMachines } from "../../client/backend.ts"
import { createHome } from "../../home/paths.ts"
import { hostArch } from "../../machine/arch.ts"
import { formatBytes, formatDuration } from "../output.ts"
import { showProgress } from "../progress.ts"
import type { Session } from "../session.ts"

const BUILD_DEADLINE_MS = 30 * 60_000

/** Builds the image of the current recipe from the newest packages; a second build of the same inputs does nothing. */
export async function imageBuild(session: Session): Promise<void> {
  const guest = await import("@skep/guest")
  await createHome(session.home)
  let image: Image | undefined
  const phase = { name: "image", title: "Guest image", deadlineMs: BUILD_DEADLINE_MS }
  const building = new Operation("image build", async (report, signal) => {
    image = await runPhase(phase, report, signal, (limit) =>
      guest.buildImage({
        imagesDir: session.home.images,
        cacheDir: session.home.cache,
        arch: hostArch(),
        signal: limit,
        log: silentLog,
        onProgress: ({ step, detail }) => {
          report({
            type: "detail",
            phase: phase.name,
            text: detail === undefined ? step : `${step}: ${detail}`,
          })
        },
      }),
    )
  })
  await showProgress(session.output, building.watch(session.signal))
  session.signal.throwIfAborted()
  if (image === undefined) throw new SidecarError("internal", "The build ended without an image")
  if (session.output.json) session.output.item({ type: "done", image })
  else
    session.output.note(
      `Image ${image.id.slice(0, 12)}: Linux ${image.kernelRelease}, ${formatBytes(image.bytes)}`,
    )
}

export async function imageList(session: Session): Promise<void> {
  const { listImages, currentImage } = await import("@skep/guest")
  const images = await listImages(session.home.images)
  const current = await currentImage(session.home.images, hostArch()).catch(() => undefined)
  const { output } = session
  if (output.json) {
    output.value(images.map((image) => ({ ...image, current: image.id === current?.id })))
    return
  }
  if (images.length === 0) {
    output.note("There are no images yet. Build one with: skep image build")
    return
  }
  output.table(
    ["ID", "CURRENT", "ARCH", "LINUX", "SIZE", "AGE"],
    images.map((image) => [
      image.id.slice(0, 12),
      image.id === current?.id ? "*" : "",
      image.arch,
      image.kernelRelease,
      formatBytes(image.bytes),
      formatDuration(Date.now() - Date.parse(image.createdAt)),
    ]),
  )
}

/** Removes images by their id or the beginning of it; `unused` removes all but the current one. */
export async function imageRemove(session: Session, ids: readonly string[], unused: boolean): Promise<void> {
  const { listImages, currentImage, removeImage } = await import("@skep/guest")
  await refuseWhileRunning(session)
  const images = await listImages(session.home.images)
  const current = unused
    ? await currentImage(session.home.images, hostArch()).catch(() => undefined)
    : undefined
  const chosen = unused
    ? images.filter((image) => image.id !== current?.id)
    : ids.map((id) => unique(images, id))
  for (const image of chosen) {
    await removeImage(session.home.images, image.id)
    if (session.output.json) session.output.item({ type: "removed", id: image.id })
    else session.output.note(`Image ${image.id.slice(0, 12)} is removed (${formatBytes(image.bytes)})`)
  }
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

function unique<T extends { readonly id: string }>(images: readonly T[], id: string): T {
  const found = images.filter((image) => image.id.startsWith(id))
  const [only, ...others] = found
  if (only !== undefined && others.length === 0) return only
  const reason = only === undefined ? "there is none" : `${found.length} images begin so`
  throw new SidecarError("not-found", `Cannot remove the image "${id}": ${reason}`, {
    next: "skep image ls shows them",
  })
}
