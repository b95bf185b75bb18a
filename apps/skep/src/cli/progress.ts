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
  const show = await renderer(output)
  for await (const item of progress) {
    // The backend is of our own build, so its lines have our own type.
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion
    await show(item as Progress)
  }
}

type Show = (progress: Progress) => Promise<void>

async function renderer(output: Output): Promise<Show> {
  if (output.json) {
    return async (progress) => output.item(progress)
  }
  return output.interactive ? await spinners(output) : plainLines(output)
}

function plainLines(output: Output): Show {
  const details = new Map<string, string>()
  return async (progress) => {
    switch (progress.type) {
      case "begin":
        return
      case "detail":
        details.set(progress.phase, progress.text)
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
}

interface Spinner {
  readonly work: Resolvers<void>
  readonly shown: Promise<unknown>
  readonly detail: (text: string) => void
}

async function spinners(output: Output): Promise<Show> {
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
  return async (progress) => {
    switch (progress.type) {
      case "begin":
        current = begin(progress.title)
        return
      case "detail":
        current?.detail(progress.text)
        return
      case "end":
      case "fail":
        if (progress.type === "end") current?.work.resolve()
        else current?.work.reject(new Error(progress.title))
        await current?.shown
        current = undefined
        return
      case "note":
        output.note(`  ${progress.text}`)
    }
  }
}
