/**
 * A machine whose network is another program at a socket: joined at its start, lost with the program, joined again with the next one.
 *
 * @module
 */
import { once } from "node:events"
import { createServer, type Socket } from "node:net"
import type { SidecarEvent } from "@skep/contract"
import { testContext } from "@skep/contract-tests"
import { withResolvers } from "@skep/runtime"
import { describe, expect, it } from "vitest"
import { launcher } from "../../src/index.ts"
import { openPlace, type Place, spawnedLauncher } from "../fixture.ts"

const MAC = "52:54:00:00:00:01"

function withStream(place: Place): ReturnType<Place["options"]> {
  const socket = place.directory.at("net.sock")
  return place.options(0, { network: { kind: "stream", mac: MAC, socket, provider: "peer" } })
}

interface Program extends AsyncDisposable {
  /** The machines that have joined so far. */
  readonly joined: readonly Socket[]
  next(): Promise<Socket>
}

/** A program that serves networks on the place's socket and dies when it is disposed. */
async function openProgram(place: Place): Promise<Program> {
  const joined: Socket[] = []
  const server = createServer((machine) => {
    joined.push(machine)
    machine.on("error", () => machine.destroy())
    machine.resume()
  })
  server.listen(place.directory.at("net.sock"))
  await once(server, "listening")
  return {
    joined,
    next: async () => {
      const [machine] = (await once(server, "connection")) as [Socket]
      return machine
    },
    [Symbol.asyncDispose]: async () => {
      for (const machine of joined) machine.destroy()
      server.close()
      await once(server, "close")
    },
  }
}

/** A context, and a promise for each event of a type to come. */
function listening(): {
  readonly context: ReturnType<typeof testContext>
  readonly next: (type: string) => Promise<SidecarEvent>
} {
  const context = testContext()
  const waiting: { readonly type: string; readonly resolve: (event: SidecarEvent) => void }[] = []
  const emit = (event: SidecarEvent): void => {
    context.emit(event)
    for (const one of waiting.filter(({ type }) => type === event.type)) {
      waiting.splice(waiting.indexOf(one), 1)
      one.resolve(event)
    }
  }
  const next = (type: string): Promise<SidecarEvent> => {
    const { promise, resolve } = withResolvers<SidecarEvent>()
    waiting.push({ type, resolve })
    return promise
  }
  return { context: { ...context, emit }, next }
}

describe("a machine whose network is a stream", () => {
  it("has joined it when its guest prints, and says so", async () => {
    await using place = await openPlace()
    await using program = await openProgram(place)
    await using running = await launcher.start(withStream(place), testContext())
    expect(program.joined).toHaveLength(1)
    const { network } = await running.status()
    expect(network).toEqual({ kind: "stream", mac: MAC, provider: "peer", joined: true })
  })

  it("boots without the program, and joins when that comes", async () => {
    await using place = await openPlace()
    const { context, next } = listening()
    await using running = await launcher.start(withStream(place), context)
    expect((await running.status()).network).toMatchObject({ joined: false })
    await expect(running.reconnectNetwork()).rejects.toMatchObject({ code: "unreachable" })
    const joined = next("network-joined")
    await using _program = await openProgram(place)
    await joined
    expect((await running.status()).network).toMatchObject({ joined: true })
  })

  it("joins anew by itself, each time the program was lost", async () => {
    await using place = await openPlace()
    const { context, next } = listening()
    let program = await openProgram(place)
    await using running = await launcher.start(withStream(place), context)
    for (let round = 0; round < 3; round++) {
      const lost = next("network-lost")
      await program[Symbol.asyncDispose]()
      await lost
      const joined = next("network-joined")
      program = await openProgram(place)
      await joined
      expect(program.joined).toHaveLength(1)
    }
    const { network, counters } = await running.status()
    expect(network).toMatchObject({ joined: true })
    expect(counters).toMatchObject({ networkLosses: 3 })
    await program[Symbol.asyncDispose]()
  })

  it("joins anew when it is asked to, also from another process", async () => {
    await using place = await openPlace()
    await using program = await openProgram(place)
    await using running = await spawnedLauncher().start(withStream(place), testContext())
    const again = program.next()
    await running.reconnectNetwork()
    await again
    expect(program.joined).toHaveLength(2)
    expect((await running.status()).network).toMatchObject({ joined: true })
  })

  it("is left joined by a launcher that takes over", async () => {
    await using place = await openPlace()
    await using program = await openProgram(place)
    const first = await spawnedLauncher().start(withStream(place), testContext())
    const { identity } = first as typeof first & { readonly identity: { readonly pid: number } }
    process.kill(identity.pid, "SIGKILL")
    await expect(first.closed).rejects.toMatchObject({ code: "crashed" })
    const { context, next } = listening()
    const joined = next("network-joined")
    await using second = await launcher.start(withStream(place), context)
    await joined
    expect(await second.status()).toMatchObject({ adopted: true, network: { joined: true } })
    expect(program.joined).toHaveLength(1)
  })
})

describe("reconnectNetwork()", () => {
  it("says unsupported for QEMU's own network", async () => {
    await using place = await openPlace()
    await using running = await launcher.start(place.options(), testContext())
    await expect(running.reconnectNetwork()).rejects.toMatchObject({ code: "unsupported" })
    expect((await running.status()).network).toEqual({ kind: "qemu-user", mac: MAC })
  })
})

describe("a machine whose network is vhost-user", () => {
  it("has a keeper for its NIC", async () => {
    await using place = await openPlace()
    const network = { kind: "vhost-user", mac: MAC, socket: place.directory.at("net.sock") }
    await using running = await launcher.start(place.options(0, { network }), testContext())
    const { devices, network: told } = await running.status()
    expect(devices).toEqual([{ name: "net", state: "waiting", runs: false }])
    expect(told).toEqual({ kind: "vhost-user", mac: MAC })
  })
})
