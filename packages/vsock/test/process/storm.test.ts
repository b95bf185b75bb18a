// Thousands of clients at once: each is served or sees its end, nobody else notices, nothing is left.
import { readdirSync } from "node:fs"
import { testContext } from "@skep/contract-tests"
import { temporaryDirectory } from "@skep/testkit"
import { expect, it } from "vitest"
import { vsockProcess } from "../../src/client.ts"
import { ask, type Outcome, startMachine, stay } from "./machine.ts"
import { bundleProgram } from "./program.ts"

const PORT = 5000
const CLIENTS = 5000
/** Fewer than the backlog has room for. */
const AT_A_TIME = 400

function tally(outcomes: readonly Outcome[]): Readonly<Record<Outcome, number>> {
  const counts = { served: 0, ended: 0, "backlog full": 0 }
  for (const outcome of outcomes) counts[outcome]++
  return counts
}

it("5,000 connects in one moment, and 5,000 in turns", { timeout: 120_000 }, async () => {
  using program = await bundleProgram()
  await using place = await temporaryDirectory()
  const directory = place.at("v")
  const sidecar = vsockProcess({ file: process.execPath, args: [program.file], endWithParent: true })
  await using running = await sidecar.start(
    sidecar.parseOptions({ guestCid: 3, socket: place.at("vhost.sock"), directory }),
    testContext(),
  )
  await using _machine = startMachine(place.at("vhost.sock"))
  const descriptors = (): number => readdirSync(`/proc/${running.identity.pid}/fd`).length
  expect(await ask(directory, PORT, "first")).toBe("served")
  await expect.poll(async () => (await running.status()).streams).toBe(0)
  const before = descriptors()

  // Somebody who talks all the while.
  const steady = stay(directory, PORT)
  let rounds = 0
  steady.socket.on("data", () => {
    rounds++
    steady.socket.write("?")
  })
  steady.socket.write("?")
  await expect.poll(() => rounds).toBeGreaterThan(0)

  const burst = tally(await Promise.all(Array.from({ length: CLIENTS }, () => ask(directory, PORT, "word"))))
  expect(burst.served + burst.ended + burst["backlog full"]).toBe(CLIENTS)
  expect(burst.served).toBeGreaterThan(0)
  // Whoever was accepted is served, but for those that this busy thread left without their greeting for long.
  expect(burst.ended).toBe((await running.status()).counters["silent"] ?? 0)

  const after = rounds
  await expect.poll(() => rounds).toBeGreaterThan(after)

  let left = CLIENTS
  const served: Outcome[] = []
  const inTurn = async (): Promise<void> => {
    while (left-- > 0) served.push(await ask(directory, PORT, "word"))
  }
  await Promise.all(Array.from({ length: AT_A_TIME }, inTurn))
  expect(tally(served)).toEqual({ served: CLIENTS, ended: 0, "backlog full": 0 })

  expect(steady.socket.closed).toBe(false)
  steady.socket.destroy()
  await steady.ended
  await expect.poll(async () => await running.status()).toMatchObject({ streams: 0, heldBytes: 0 })
  // Fewer, if the connection that asked for the first status was still closing when they were counted.
  await expect.poll(descriptors).toBeLessThanOrEqual(before)
  const { counters } = await running.status()
  expect(counters["accepted"]).toBe(2 + burst.served + burst.ended + CLIENTS)
  expect(counters["refused"]).toBe(burst.ended)
})
