// The share manager as it ships, over NFS: the shares contract with a client of our own in the guest's place.

import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { type SharesFixture, sharesContract, testContext } from "@skep/contract-tests"
import { sharesProcess } from "@skep/shares"
import { temporaryDirectory } from "@skep/testkit"
import { bundle } from "@skep/testkit/bundle"
import { afterAll } from "vitest"
import { HardRpc } from "./nfs-guest/call.ts"
import { nfsFiles } from "./nfs-guest/files.ts"
import { NfsMount } from "./nfs-guest/mount.ts"

const program = await bundle(
  {
    shares: "src/main.ts",
    "shares-thread": "src/thread.ts",
    "syscall-pool": "../loop/src/pool/thread.ts",
  },
  { from: join(import.meta.dirname, "../../packages/shares") },
)
afterAll(() => program[Symbol.dispose]())

const sidecar = sharesProcess({
  file: process.execPath,
  args: [program.at("shares.js")],
  endWithParent: true,
})

async function open(): Promise<SharesFixture> {
  const place = await temporaryDirectory()
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
  const socket = place.at("nfs.sock")
  const options = sidecar.parseOptions({
    machine: "machine",
    socket: place.at("back.sock"),
    nfs: { socket },
    protocol: "nfs",
    stateDirectory: place.at("state"),
    shares: [rule],
    ioThreads: 1,
  })
  let running = await sidecar.start(options, testContext())
  const rpc = new HardRpc({ path: socket })
  const mount = await NfsMount.at("/", { nfs: rpc, mount: rpc })
  return {
    get running() {
      return running
    },
    directory,
    rule,
    openWithoutName: "renamed",
    files: async (target) => {
      // Numbers are given in order, and kept.
      const { shares } = await running.status()
      return nfsFiles(mount, String(shares.findIndex((share) => share.target === target) + 1))
    },
    restart: async () => {
      process.kill(running.identity.pid, "SIGKILL")
      await running.closed.catch(() => undefined)
      running = await sidecar.start(options, testContext())
    },
    [Symbol.asyncDispose]: async () => {
      await rpc[Symbol.asyncDispose]()
      await running[Symbol.asyncDispose]()
      await place[Symbol.asyncDispose]()
    },
  }
}

sharesContract({ name: "shares over NFS", open })
