/**
 * A real QEMU without a guest: a user network and a monitor are all that the adapter needs.
 *
 * @module
 */
import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { createInterface } from "node:readline"

export interface GuestlessQemu extends AsyncDisposable {
  readonly process: ChildProcess
}

const MACHINE = ["-M", "none", "-display", "none", "-nodefaults"]

/** Where the user network is led to: nowhere, or by a hub to whoever connects to a stream there. */
function networkArguments(stream: string | undefined): readonly string[] {
  if (stream === undefined) return ["-netdev", "user,id=net0,restrict=on"]
  const netdevs = [
    "user,id=net0",
    "hubport,id=port0,hubid=0,netdev=net0",
    `stream,id=stream0,server=on,addr.type=unix,addr.path=${stream}`,
    "hubport,id=port1,hubid=0,netdev=stream0",
  ]
  return netdevs.flatMap((netdev) => ["-netdev", netdev])
}

/**
 * Starts it. It has no processor, and runs all the same: networks carry nothing in a machine that is stopped. A second monitor on stdio greets when all sockets listen, so that
 * nobody has to poll for them.
 */
export async function startQemu(qmp: string, stream?: string): Promise<GuestlessQemu> {
  const monitors = ["-qmp", `unix:${qmp},server=on,wait=off`, "-qmp", "stdio"]
  const child = spawn("qemu-system-x86_64", [...MACHINE, ...networkArguments(stream), ...monitors], {
    stdio: ["pipe", "pipe", "ignore"],
  })
  const exited = once(child, "exit")
  await once(createInterface({ input: child.stdout }), "line")
  return {
    process: child,
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL")
      await exited
    },
  }
}
