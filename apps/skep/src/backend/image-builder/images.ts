/**
 * The guest image for whoever starts a machine: the one there is, or one build that all who need it wait for together.
 *
 * @module
 */
import { type Log, SidecarError } from "@skep/contract"
import type { Image } from "@skep/guest"
import type { Home } from "../../home/paths.ts"
import { hostArch } from "../../machine/arch.ts"
import { Operation, type Report } from "../operation.ts"
import { buildImageApart } from "./build.ts"

interface Build {
  readonly operation: Operation
  readonly image: () => Image | undefined
}

export class Images {
  readonly #home: Home
  readonly #log: Log
  #build: Build | undefined

  constructor(home: Home, log: Log) {
    this.#home = home
    this.#log = log
  }

  /** The newest image of this recipe; built when there is none, and again when the one there is broken. */
  async prepare(report: Report, signal: AbortSignal): Promise<Image> {
    const found = await this.#current(report)
    if (found !== undefined) return found
    const build = (this.#build ??= this.#begin())
    for await (const progress of build.operation.watch(signal)) report(progress)
    // Whoever hangs up last stops the build: it is over when the builder has cleared up.
    if (build.operation.aborted) await build.operation.done.catch(() => undefined)
    signal.throwIfAborted()
    const image = build.image()
    if (image === undefined) throw new SidecarError("internal", "The build ended without an image")
    return image
  }

  /** Any image of this host's architecture, the newest first: enough to describe a machine that runs already. */
  async any(): Promise<Image> {
    const { currentImage, listImages } = await import("@skep/guest")
    const arch = hostArch()
    const image =
      (await currentImage(this.#home.images, arch).catch(() => undefined)) ??
      (await listImages(this.#home.images)).find((each) => each.arch === arch)
    if (image !== undefined) return image
    throw new SidecarError("not-found", `Cannot find a guest image in "${this.#home.images}"`, {
      next: "Build one with: skep image build",
    })
  }

  async #current(report: Report): Promise<Image | undefined> {
    const { currentImage } = await import("@skep/guest")
    try {
      return await currentImage(this.#home.images, hostArch())
    } catch (error) {
      if (!(error instanceof SidecarError) || error.code !== "image-broken") throw error
      report({ type: "note", text: `${error.message}; it is built again` })
      return undefined
    }
  }

  #begin(): Build {
    let image: Image | undefined
    const operation = new Operation({
      kind: "image build",
      needsWatcher: true,
      work: async (report, signal) => {
        report({
          type: "note",
          text: "building the guest image from Debian packages: about 110 MB to fetch the first time",
        })
        image = await buildImageApart({
          imagesDir: this.#home.images,
          cacheDir: this.#home.cache,
          arch: hostArch(),
          signal,
          onProgress: ({ step, detail }) => {
            const text = detail === undefined ? step : `${step}: ${detail}`
            report({ type: "detail", phase: "image", text })
          },
        })
        this.#log.info("image built", { id: image.id, bytes: image.bytes })
      },
    })
    const over = (): void => {
      this.#build = undefined
    }
    operation.done.then(over, over)
    return { operation, image: () => image }
  }
}
