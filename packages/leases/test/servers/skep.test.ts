import { once } from "node:events"
import { mkdirSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { dirname } from "node:path"
import { type TemporaryDirectory, temporaryDirectory } from "@skep/testkit"
import { afterEach, beforeEach, expect, it, vi } from "vitest"
import { skep } from "../../src/servers/skep.ts"

const HOST = { run: async () => "", root: "/", platform: process.platform } as const

let directory: TemporaryDirectory
const servers: Server[] = []
beforeEach(async () => {
  directory = await temporaryDirectory()
})
afterEach(async () => {
  vi.unstubAllEnvs()
  for (const server of servers.splice(0)) {
    server.close()
    await once(server, "close")
  }
  await directory[Symbol.asyncDispose]()
})

it("knows the network of a lease file by the sockets that may be its own, and asks no other one's", async () => {
  mkdirSync(directory.at("h/network"), { recursive: true })
  await listen("r/network/control.sock")
  vi.stubEnv("SKEP_HOME", directory.at("h"))
  vi.stubEnv("SKEP_RUN", directory.at("r"))
  expect(await runs("h/network/leases.json")).toBe(true)
  // One of another home, and one that is no home's: a machine of the same name there is another one.
  expect(await runs("other/network/leases.json")).toBe(false)
  expect(await runs("net/leases.json")).toBe(false)
  await listen("other/run/network/control.sock")
  await listen("net/control.sock")
  expect(await runs("other/network/leases.json")).toBe(true)
  expect(await runs("net/leases.json")).toBe(true)
})

it("knows that of the home directory, wherever its sockets are", async () => {
  await listen("r/network/control.sock")
  vi.stubEnv("SKEP_HOME", undefined)
  vi.stubEnv("SKEP_RUN", directory.at("r"))
  expect(await runs(".skep/network/leases.json")).toBe(true)
  vi.stubEnv("SKEP_RUN", undefined)
  expect(await runs(".skep/network/leases.json")).toBe(false)
  await listen(".skep/run/network/control.sock")
  expect(await runs(".skep/network/leases.json")).toBe(true)
})

function runs(path: string): Promise<boolean | undefined> {
  return skep.isRunning(directory.at(path), HOST, AbortSignal.timeout(10_000))
}

async function listen(path: string): Promise<void> {
  mkdirSync(dirname(directory.at(path)), { recursive: true })
  const server = createServer((socket) => socket.destroy()).listen(directory.at(path))
  servers.push(server)
  await once(server, "listening")
}
