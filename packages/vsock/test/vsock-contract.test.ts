// Our own vsock in the role's contract, with a modelled guest on the rings of a fake QEMU.
import type { Sidecar } from "@skep/contract"
import { testContext, type VsockFixture, vsockContract, vsockSetup } from "@skep/contract-tests"
import { fromSource, temporaryDirectory } from "@skep/testkit"
import { expect } from "vitest"
import { type VsockOptions, type VsockRunning, type VsockStatus, vsock, vsockProcess } from "../src/index.ts"
import { startMachine } from "./contract/modelled-machine.ts"

const spawned = vsockProcess({
  file: process.execPath,
  args: fromSource(import.meta.dirname, "../src/main.ts"),
  endWithParent: true,
})

async function open(sidecar: Sidecar<VsockOptions, VsockStatus, VsockRunning>): Promise<VsockFixture> {
  const directory = await temporaryDirectory()
  const setup = vsockSetup(directory.path)
  // Ours listens on all ports of the host, and takes no list of them.
  const { services: _services, ...options } = setup
  const socket = directory.at("vhost.sock")
  const running = await sidecar.start(sidecar.parseOptions({ ...options, socket }), testContext())
  const guest = startMachine(socket, setup.guestCid)
  return {
    vsock: running,
    setup,
    guest,
    [Symbol.asyncDispose]: async () => {
      await running[Symbol.asyncDispose]()
      await guest[Symbol.asyncDispose]()
      await directory[Symbol.asyncDispose]()
      expect(guest.complaints).toEqual([])
    },
  }
}

vsockContract({ name: "vsock in process", open: () => open(vsock) })
vsockContract({ name: "vsock spawned", open: () => open(spawned) })
