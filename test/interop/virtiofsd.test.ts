/**
 * virtiofsd in the shares role, with FUSE's other side in the guest's place.
 *
 * @module
 */
import { existsSync, mkdirSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { virtiofsdWith } from "@skep/adapters/virtiofsd"
import { type SharesFixture, sharesContract, testContext } from "@skep/contract-tests"
import { temporaryDirectory } from "@skep/testkit"
import { bundle } from "@skep/testkit/bundle"
import { afterAll } from "vitest"
import { startVhostMachine } from "../../packages/shares/test/contract/vhost-machine.ts"

const PROGRAM = "/usr/lib/qemu/virtiofsd"
const KEEPER = join(import.meta.dirname, "../../packages/shares/test/contract")

const unavailable =
  process.getuid?.() !== 0
    ? "it takes root"
    : existsSync(PROGRAM)
      ? undefined
      : `there is no ${PROGRAM} on this host`

const program = await bundle({ keeper: "keeper-thread.ts" }, { from: KEEPER })
afterAll(() => program[Symbol.dispose]())

const virtiofsd = virtiofsdWith()

async function open(): Promise<SharesFixture> {
  const place = await temporaryDirectory()
  const path = place.at("host/shared")
  mkdirSync(path, { recursive: true })
  const rule = {
    path,
    target: "/mnt/shared",
    readOnly: false,
    cache: "consistent",
    ownership: "real",
  } as const
  const socket = place.at("back.sock")
  const options = virtiofsd.parseOptions({ machine: "machine", socket, shares: [rule], program: PROGRAM })
  const running = await virtiofsd.start(options, testContext())
  const machine = await startVhostMachine({
    back: socket,
    front: place.at("front.sock"),
    keeper: pathToFileURL(program.at("keeper.js")),
  })
  return {
    running,
    directory: place.at("host"),
    rule,
    files: async () => machine.files(1),
    [Symbol.asyncDispose]: async () => {
      await machine[Symbol.asyncDispose]()
      await running[Symbol.asyncDispose]()
      await place[Symbol.asyncDispose]()
    },
  }
}

const LIVE = "the shares are those of the start"
const OWNERS = "owners are the host's own"
const MEMORY = "what the guest has open is lost with the process"

sharesContract({
  name: "virtiofsd",
  open,
  ...(unavailable === undefined ? {} : { unavailable }),
  gaps: {
    "what is written can be put on the device":
      "it wants the node in FSYNC, which FUSE's other side does not say",
    "owners that the guest gives are kept, and the host's stay as they are": OWNERS,
    "files that nobody was given belong to whoever looks": OWNERS,
    "says of what cannot be shared why": LIVE,
    "a share comes and goes while the machine runs": LIVE,
    "what is shared to be read is not written": LIVE,
    "another rule takes the place of the one at its target": LIVE,
    "a directory that vanishes is gone, and is shared again when it is back": LIVE,
    "open files and directories go on when the provider was killed": MEMORY,
    "nothing that was written is lost when the provider is killed under load": MEMORY,
  },
})
