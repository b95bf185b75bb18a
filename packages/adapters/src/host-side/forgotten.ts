/**
 * Which process the program behind an adapter is, written down for an adapter that comes after one that was killed.
 *
 * @module
 */
import { readFile, rm } from "node:fs/promises"
import type { Identity } from "@skep/contract"
import { errnoOf, isAlive, signalProcess, sleep } from "@skep/runtime"
import * as z from "zod"

const GONE_POLL_MS = 10

const Record: z.ZodType<Identity> = z.object({ pid: z.int().min(1), startTime: z.string() })

/** Ends the process that is written down in the file, and removes that. */
export async function endForgotten(file: string): Promise<void> {
  const forgotten = await lastOf(file)
  if (forgotten === undefined) return
  signalProcess(forgotten, "SIGKILL")
  while (isAlive(forgotten)) await sleep(GONE_POLL_MS, neverAborts)
  await rm(file, { force: true })
}

async function lastOf(file: string): Promise<Identity | undefined> {
  try {
    const parsed = Record.safeParse(JSON.parse(await readFile(file, "utf8")))
    return parsed.success ? parsed.data : undefined
  } catch (error) {
    if (error instanceof SyntaxError || errnoOf(error) === "ENOENT") return undefined
    throw error
  }
}

const neverAborts = new AbortController().signal
