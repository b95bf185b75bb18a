/**
 * Showing the progress of a change: spinners with durations on a terminal, a line a phase elsewhere, JSON lines with --json.
 *
 * @module
 */
import { type Resolvers, withResolvers } from "@skep/runtime/deadline"
import type { Progress } from "../backend/operation.ts"
import type { Output } from "./output.ts"

/** Reads the stream to its end; what it throws has been shown as a failed phase. */
export async function showProgress(output: Output, progress: AsyncIterable<unknown>): Promise<void> {
  const view = await viewOf(output)
  try {
    for await (const item of progress) {
      // The backend is of our own build, so its lines have our own type.
      // oxlint-disable-next-line typescript/no-unsafe-type-assertion
      await view.show(item as Progress)
    }
  } finally {
    await view.end()
  }
}

interface View {
  show(progress: Progress): Promise<void>
  /** Nothing more comes, perhaps in the middle of a phase. */
  end(): Promise<void>
}

async function viewOf(output: Output): Promise<View> {
  if (output.json) return { show: async (progress) => output.item(progress), end: async () => undefined }
  return output.interactive ? await spinners(output) : plainLines(output)
}

/** A line a phase, with its last detail; a phase with steps has one line for each, as a step may tell of itself many times. */
function plainLines(output: Output): View {
  const titles = new Map<string, string>()
  const steps = new Map<string, Set<string>>()
  const details = new Map<string, string>()
  const tellDetail = (phase: string, text: string): void => {
    const step = /^([^:]+): /.exec(text)?.[1]
    const told = steps.get(phase)
    if (step === undefined) {
      if (told === undefined) details.set(phase, text)
      return
    }
    if (told?.has(step) === true) return
    steps.set(phase, (told ?? new Set()).add(step))
    output.note(`${titles.get(phase) ?? phase}: ${text}`)
  }
  const show = (progress: Progress): void => {
    switch (progress.type) {
      case "begin":
        titles.set(progress.phase, progress.title)
        return
      case "detail":
        tellDetail(progress.phase, progress.text)
        return
      case "end":
      case "fail": {
        const detail = details.get(progress.phase)
        const suffix = detail === undefined ? "" : ` (${detail})`
        output.note(
          `${progress.title}: ${progress.type === "end" ? "done" : "failed"} in ${progress.seconds.toFixed(1)} s${suffix}`,
        )
        return
      }
      case "note":
        output.note(progress.text)
    }
  }
  return { show: async (progress) => show(progress), end: async () => undefined }
}

interface Spinner {
  readonly work: Resolvers<void>
  readonly shown: Promise<unknown>
  readonly detail: (text: string) => void
}

async function spinners(output: Output): Promise<View> {
  const { Listr, PRESET_TIMER } = await import("listr2")
  let current: Spinner | undefined
  const begin = (title: string): Spinner => {
    const work = withResolvers<void>()
    let detail = (_text: string): void => undefined
    const list = new Listr(
      [
        {
          title,
          task: (_context, task) => {
            detail = (text) => {
              task.output = text
            }
            return work.promise
          },
          rendererOptions: {
            timer: { ...PRESET_TIMER, condition: true, field: (ms: number) => `${(ms / 1000).toFixed(1)} s` },
          },
        },
      ],
      { exitOnError: false, registerSignalListeners: false, rendererOptions: { showErrorMessage: false } },
    )
    return { work, shown: list.run().catch(() => undefined), detail: (text) => detail(text) }
  }
  const close = async (failure?: Error): Promise<void> => {
    if (failure === undefined) current?.work.resolve()
    else current?.work.reject(failure)
    await current?.shown
    current = undefined
  }
  const show = async (progress: Progress): Promise<void> => {
    switch (progress.type) {
      case "begin":
        current = begin(progress.title)
        return
      case "detail":
        current?.detail(progress.text)
        return
      case "end":
        return await close()
      case "fail":
        return await close(new Error(progress.title))
      case "note":
        output.note(`  ${progress.text}`)
    }
  }
  return { show, end: () => close(new Error("interrupted")) }
}
