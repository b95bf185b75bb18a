// The sidecar killed again and again under load, behind a keeper: what is lost ends, on both sides, and new streams work.
import { once } from "node:events"
import { createServer, type Socket } from "node:net"
import { testContext } from "@skep/contract-tests"
import { startLoop } from "@skep/loop"
import { temporaryDirectory } from "@skep/testkit"
import { servicePath } from "@skep/vsock-host/dialect"
import { expect, it } from "vitest"
import { vsockProcess } from "../../src/client.ts"
import type { KeeperCalls } from "./keeper-thread.ts"
import { ask, startMachine, stay } from "./machine.ts"
import { bundleProgram } from "./program.ts"

const PORT = 5000
const SERVICE = 7000
const ROUNDS = 20
const BUSY = 6
const IDLE = 2
const OUT = 3

it(`SIGKILL, ${ROUNDS} times in a row`, { timeout: 300_000 }, async () => {
  using program = await bundleProgram()
  await using place = await temporaryDirectory()
  const directory = place.at("v")
  const sidecar = vsockProcess({ file: process.execPath, args: [program.file], endWithParent: true })
  const options = sidecar.parseOptions({ guestCid: 3, socket: place.at("back.sock"), directory })
  let running = await sidecar.start(options, testContext())
  const accepted: Socket[] = []
  await using service = createServer((socket) => {
    socket.on("error", () => socket.destroy())
    socket.resume()
    accepted.push(socket)
  }).listen(servicePath(directory, SERVICE))
  await once(service, "listening")
  await using keeper = await startLoop<KeeperCalls>(new URL("./keeper-thread.ts", import.meta.url), {
    data: { front: place.at("front.sock"), back: options.socket },
  })
  await using machine = startMachine(place.at("front.sock"))
  const { guest } = machine

  for (let round = 1; round <= ROUNDS; round++) {
    const busy = Array.from({ length: BUSY }, () => stay(directory, PORT))
    const idle = Array.from({ length: IDLE }, () => stay(directory, PORT))
    let echoed = 0
    for (const { socket } of busy) {
      socket.on("data", (chunk) => {
        echoed += chunk.length
        socket.write(chunk)
      })
      socket.write(Buffer.alloc(100_000, "x"))
    }
    for (const { socket } of idle) socket.resume()
    for (let i = 0; i < OUT; i++) guest.connect(SERVICE)
    await expect.poll(() => guest.streams.size).toBe(BUSY + IDLE + OUT)
    await expect.poll(() => accepted.length).toBe(OUT)
    await expect.poll(() => echoed).toBeGreaterThan(500_000)
    const inGuest = [...guest.streams.values()]
    const outs = accepted.splice(0).map((socket) => once(socket, "close"))

    process.kill(running.identity.pid, "SIGKILL")
    await Promise.all([...busy, ...idle].map(({ ended }) => ended))
    await Promise.all(outs)
    await expect(running.closed).rejects.toMatchObject({ code: "crashed" })
    running = await sidecar.start(options, testContext())

    // The idle ones, too, though the guest sends nothing on them.
    await expect.poll(() => inGuest.filter(({ state }) => state !== "over").length).toBe(0)
    await expect.poll(() => ask(directory, PORT, "again")).toBe("served")
    const { state, counters } = await keeper.call("status", undefined)
    expect(state).toBe("relaying")
    expect(counters.replays).toBeGreaterThanOrEqual(round)
  }
  await expect
    .poll(async () => await running.status())
    .toMatchObject({ streams: 0, orphans: 0, heldBytes: 0 })
  await running[Symbol.asyncDispose]()
  // All was told, so nothing is left for a successor. The other sockets are the keeper's and the service's.
  expect(await place.list()).toEqual(["front.sock", "v", "v/00000002.00001b58"])
})
