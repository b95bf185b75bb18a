/**
 * The supervisor, over the echo in this process.
 *
 * @module
 */
import { once } from "node:events"
import { connect } from "node:net"
import { type Running, SidecarError } from "@skep/contract"
import { Supervisor, silentLog } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { describe, expect, it } from "vitest"
import { testContext } from "../src/index.ts"
import { type EchoStatus, echo } from "./echo/echo.ts"

async function answers(socket: string): Promise<boolean> {
  const client = connect(socket)
  client.on("error", () => client.destroy())
  client.on("connect", () => client.destroy())
  return await new Promise((resolve) => client.once("close", (hadError) => resolve(!hadError)))
}

async function crash(socket: string): Promise<void> {
  const client = connect(socket)
  client.on("error", () => client.destroy())
  client.write(Buffer.of(0))
  client.resume()
  await once(client, "close")
}

/** A promise for each call in turn. */
function turns<T>(): { readonly next: () => Promise<T>; readonly take: (value: T) => void } {
  const values: T[] = []
  const waiting: ((value: T) => void)[] = []
  return {
    take: (value) => {
      const waiter = waiting.shift()
      if (waiter === undefined) values.push(value)
      else waiter(value)
    },
    next: async () => {
      const value = values.shift()
      return value === undefined ? await new Promise<T>((resolve) => waiting.push(resolve)) : value
    },
  }
}

describe("Supervisor", () => {
  it("opens the sidecar, and another one each time it crashes, until it is disposed", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    const ups = turns<Running<EchoStatus>>()
    const downs: unknown[] = []
    const supervisor = new Supervisor({
      name: "echo",
      log: silentLog,
      open: () => echo.start({ socket }, testContext()),
      onUp: ups.take,
      onDown: (reason) => downs.push(reason),
    })
    expect(await supervisor.ready).toBe(await ups.next())
    for (let round = 1; round <= 3; round++) {
      await crash(socket)
      const next = await ups.next()
      expect(await supervisor.ready).toBe(next)
      expect(supervisor.running).toBe(next)
      expect(supervisor.losses).toBe(round)
      expect(await answers(socket)).toBe(true)
    }
    expect(downs).toEqual([1, 2, 3].map(() => expect.objectContaining({ code: "crashed" })))
    await supervisor[Symbol.asyncDispose]()
    expect(supervisor.running).toBeUndefined()
    expect(await answers(socket)).toBe(false)
    expect(supervisor.losses).toBe(3)
  })

  it("rejects `ready` when an attempt fails, and goes on trying", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    const ups = turns<Running<EchoStatus>>()
    const refusal = new SidecarError("unsupported", "not here")
    let attempts = 0
    await using supervisor = new Supervisor({
      name: "echo",
      log: silentLog,
      open: async () => {
        attempts++
        if (attempts < 3) throw refusal
        return await echo.start({ socket }, testContext())
      },
      onUp: ups.take,
    })
    await expect(supervisor.ready).rejects.toBe(refusal)
    expect(supervisor.running).toBeUndefined()
    await expect(supervisor.ready).rejects.toBe(refusal)
    expect(await supervisor.ready).toBe(await ups.next())
    expect(attempts).toBe(3)
  })

  it("leaves the sidecar running when it is released", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    const supervisor = new Supervisor({
      name: "echo",
      log: silentLog,
      open: () => echo.start({ socket }, testContext()),
    })
    await using _running = await supervisor.ready
    supervisor.release()
    expect(await answers(socket)).toBe(true)
  })

  it("ends an attempt under way, and what came of it", async () => {
    await using directory = await temporaryDirectory()
    const socket = directory.at("e.sock")
    let release = (): void => undefined
    const held = new Promise<void>((resolve) => {
      release = resolve
    })
    const supervisor = new Supervisor({
      name: "echo",
      log: silentLog,
      open: async () => {
        const running = await echo.start({ socket }, testContext())
        await held
        return running
      },
    })
    const disposed = supervisor[Symbol.asyncDispose]()
    release()
    await disposed
    expect(await answers(socket)).toBe(false)
  })
})
