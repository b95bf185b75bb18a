import { readdirSync, readlinkSync } from "node:fs"
import { pathToFileURL } from "node:url"
import { startLoop } from "@skep/loop"
import { type Bundle, bundle } from "@skep/testkit/bundle"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { Idle } from "./programs/idle.ts"

const CYCLES = 60
let bundled: Bundle

beforeAll(async () => {
  bundled = await bundle({ idle: "programs/idle.ts" }, { from: import.meta.dirname })
})
afterAll(() => bundled[Symbol.dispose]())

describe("starting and stopping", () => {
  it(`leaves no descriptor, thread or listener after ${CYCLES} times`, async () => {
    const entry = pathToFileURL(bundled.at("idle.js"))
    const cycle = async (): Promise<void> => {
      await using thread = await startLoop<Idle>(entry, { data: true })
      await thread.call("open", undefined)
    }
    // Node keeps some of its own from the first worker on.
    await cycle()
    const before = census()
    for (let count = 0; count < CYCLES; count++) await cycle()
    expect(census()).toEqual(before)
  })
})

function census(): { readonly fds: readonly string[]; readonly threads: number; readonly listeners: number } {
  const fds = readdirSync("/proc/self/fd").flatMap((fd) => {
    try {
      return [readlinkSync(`/proc/self/fd/${fd}`).replace(/\d+/g, "N")]
    } catch {
      return []
    }
  })
  return {
    fds: fds.toSorted(),
    threads: readdirSync("/proc/self/task").length,
    listeners: process.listenerCount("exit"),
  }
}
