/**
 * The launcher role over a control socket, both ends.
 *
 *     POST /powerdown {"deadlineMs": 10000}    POST /kill    POST /pause    POST /resume    POST /network/reconnect
 *
 * @module
 */
import { type LauncherRunning, type LauncherStatus, SidecarError } from "@skep/contract"
import type { Remote, Routes } from "@skep/runtime"
import * as z from "zod"
import { endProcess } from "./machine/end-process.ts"

/** What an answer may take beyond the deadline that the launcher itself keeps. */
const ANSWER_MS = 5000
const ENDING_MS = 1000

const Powerdown = z.strictObject({ deadlineMs: z.int().min(1).max(600_000) })

const identity = z.object({ pid: z.int(), startTime: z.string() })

const Status: z.ZodType<LauncherStatus> = z.object({
  state: z.enum(["starting", "running", "paused", "stopping", "stopped", "crashed"]),
  reason: z.string().exactOptional(),
  hypervisor: z.string(),
  accelerator: z.enum(["kvm", "hvf", "tcg"]),
  process: identity,
  adopted: z.boolean().default(false), // a launcher of an earlier build does not say
  startedAtMs: z.number(),
  devices: z
    .array(
      z.object({
        name: z.string(),
        state: z.enum(["waiting", "relaying", "standing-in", "replaying", "unkept", "lost"]),
        runs: z.boolean(),
      }),
    )
    .default([]), // a launcher of an earlier build has none
  network: z
    .object({
      kind: z.enum(["qemu-user", "vhost-user", "stream"]),
      mac: z.string(),
      provider: z.string().exactOptional(),
      joined: z.boolean().exactOptional(),
    })
    .exactOptional(),
  phases: z.array(z.object({ name: z.string(), atSeconds: z.number() })),
  consoleLog: z.string(),
  counters: z.record(z.string(), z.number()),
})

/** The verbs for `serve`. */
export function launcherRoutes(running: LauncherRunning): Routes {
  return {
    "POST /powerdown": async ({ body }) => {
      const parsed = Powerdown.safeParse(body)
      if (!parsed.success) {
        const got = body === undefined ? "nothing" : JSON.stringify(body)
        throw new SidecarError(
          "bad-options",
          `Cannot power off: "deadlineMs" must be milliseconds, got ${got}`,
        )
      }
      await running.powerdown(parsed.data.deadlineMs)
    },
    "POST /kill": () => running.kill(),
    "POST /pause": () => running.pause(),
    "POST /resume": () => running.resume(),
    "POST /network/reconnect": () => running.reconnectNetwork(),
  }
}

/** Checks a status that came over a socket. */
export function parseLauncherStatus(value: unknown): LauncherStatus {
  return Status.parse(value)
}

/** Whether it has ended cleanly, or is about to. */
async function endsCleanly(closed: Promise<void>): Promise<boolean> {
  const late = new Promise<false>((resolve) => setTimeout(() => resolve(false), ENDING_MS).unref())
  return await Promise.race([
    late,
    closed.then(
      () => true,
      () => false,
    ),
  ])
}

/** A launcher in another process. */
export function launcherClient(remote: Remote<LauncherStatus>): LauncherRunning {
  /** The machine is gone when its launcher says so; its directories are free when the launcher is gone too. */
  const gone = (): Promise<void> => Promise.resolve(remote[Symbol.asyncDispose]())
  return {
    ...remote,
    powerdown: async (deadlineMs) => {
      try {
        await remote.request(
          "POST",
          "/powerdown",
          { deadlineMs },
          AbortSignal.timeout(deadlineMs + ANSWER_MS),
        )
      } catch (error) {
        // The launcher may be gone with its machine before its answer is.
        if (!(await endsCleanly(remote.closed))) throw error
      }
      await gone()
    },
    kill: async () => {
      try {
        await remote.request("POST", "/kill", undefined, AbortSignal.timeout(ANSWER_MS))
      } catch (error) {
        // One that hangs would hold the machine's sockets and locks: it goes, and pullPlug ends what it held.
        if (error instanceof SidecarError && error.code === "timeout") await endProcess(remote.identity)
        throw error
      }
      await gone()
    },
    pause: async () => {
      await remote.request("POST", "/pause")
    },
    resume: async () => {
      await remote.request("POST", "/resume")
    },
    reconnectNetwork: async () => {
      await remote.request("POST", "/network/reconnect")
    },
  }
}
