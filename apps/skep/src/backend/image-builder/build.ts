/**
 * Builds the guest image in a process of its own: a build needs 150 MB for some seconds, and the backend lives for days.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { SidecarError } from "@skep/contract"
import type { BuildOptions, Image, Progress } from "@skep/guest"
import { programArguments } from "../../client/program.ts"
import type { FromBuilder, ToBuilder } from "./messages.ts"

export interface ApartOptions extends Pick<BuildOptions, "imagesDir" | "cacheDir" | "arch" | "signal"> {
  readonly onProgress: (progress: Progress) => void
}

/** As `buildImage`, with its errors; "crashed" if the process ends without an answer. Nothing of it runs on after the return. */
export async function buildImageApart(options: ApartOptions): Promise<Image> {
  const { imagesDir, cacheDir, arch, signal, onProgress } = options
  signal.throwIfAborted()
  const child = spawn(process.execPath, programArguments("image-builder"), {
    stdio: ["ignore", "ignore", "inherit", "ipc"],
  })
  // The builder cleans up after itself on this signal; its own waits are bounded.
  const abort = (): void => void child.kill("SIGTERM")
  signal.addEventListener("abort", abort)
  try {
    let answer: Exclude<FromBuilder, { progress: unknown }> | undefined
    child.on("message", (message: FromBuilder) => {
      if ("progress" in message) onProgress(message.progress)
      else answer = message
    })
    const order: ToBuilder = { imagesDir, cacheDir, arch }
    child.send(order, () => undefined) // a builder that is gone already tells by its end
    const how = await endOf(child)
    signal.throwIfAborted()
    if (answer === undefined)
      throw new SidecarError("crashed", `Cannot build the guest image: the builder ended with ${how}`, {
        next: "See the end of backend.log, then try again with skep image build",
      })
    if ("error" in answer) throw new SidecarError(answer.error.code, answer.error.message, answer.error)
    return answer.image
  } finally {
    signal.removeEventListener("abort", abort)
  }
}

/** "code 0" or "SIGKILL". */
function endOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("close", (code, signal) => resolve(signal ?? `code ${code}`))
    child.once("error", (error) => resolve(error.message)) // it never started
  })
}
