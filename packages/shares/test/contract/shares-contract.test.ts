import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { type SharesFixture, sharesContract, testContext } from "@skep/contract-tests"
import { Cleanup } from "@skep/runtime"
import { temporaryDirectory } from "@skep/testkit"
import { bundle } from "@skep/testkit/bundle"
import { afterAll } from "vitest"
import { sharesProcess } from "../../src/index.ts"
import { startVhostMachine } from "./vhost-machine.ts"

const PACKAGE = join(import.meta.dirname, "../..")
/** As it ships: it starts in a fraction of the time. */
const program = await bundle(
  {
    shares: "src/main.ts",
    "shares-thread": "src/thread.ts",
    "syscall-pool": "../loop/src/pool/thread.ts",
    keeper: "test/contract/keeper-thread.ts",
  },
  { from: PACKAGE },
)
afterAll(() => program[Symbol.dispose]())

const sidecar = sharesProcess({
  file: process.execPath,
  args: [program.at("shares.js")],
  endWithParent: true,
})

async function open(): Promise<SharesFixture> {
  await using cleanup = new Cleanup()
  const place = cleanup.use(await temporaryDirectory())
  const directory = place.at("host")
  const path = place.at("host/shared")
  mkdirSync(path, { recursive: true })
  const rule = {
    path,
    target: "/mnt/shared",
    readOnly: false,
    cache: "consistent",
    ownership: "virtual",
  } as const
  const options = sidecar.parseOptions({
    machine: "machine",
    socket: place.at("back.sock"),
    stateDirectory: place.at("state"),
    shares: [rule],
    ioThreads: 1,
  })
  let running = await sidecar.start(options, testContext())
  cleanup.defer(() => running[Symbol.asyncDispose]())
  const machine = cleanup.use(
    await startVhostMachine({
      back: options.socket,
      front: place.at("front.sock"),
      keeper: pathToFileURL(program.at("keeper.js")),
    }),
  )
  const owned = cleanup.move()
  return {
    get running() {
      return running
    },
    directory,
    rule,
    files: async (target) => {
      // Numbers are given in order, and kept.
      const { shares } = await running.status()
      const index = shares.findIndex((share) => share.target === target)
      return machine.files(index + 1)
    },
    restart: async () => {
      process.kill(running.identity.pid, "SIGKILL")
      await running.closed.catch(() => undefined)
      running = await sidecar.start(options, testContext())
    },
    [Symbol.asyncDispose]: () => owned[Symbol.asyncDispose](),
  }
}

sharesContract({ name: "shares over virtiofs", open })
