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

const MACHINE = ["-M", "none", "-S", "-display", "none", "-nodefaults", "-netdev", "user,id=net0,restrict=on"]

/**
 * Starts it, stopped before its first instruction. A second monitor on stdio greets when all sockets listen, so that
 * nobody has to poll for them.
 */
export async function startQemu(qmp: string): Promise<GuestlessQemu> {
  const monitors = ["-qmp", `unix:${qmp},server=on,wait=off`, "-qmp", "stdio"]
  const child = spawn("qemu-system-x86_64", [...MACHINE, ...monitors], { stdio: ["pipe", "pipe", "ignore"] })
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
