/**
 * `skep console`: the machine's serial console, both ways. Ctrl-] leaves it.
 *
 * @module
 */
import { once } from "node:events"
import { connect } from "node:net"
import { SidecarError } from "@skep/contract"
import { checkName, machinePaths } from "../../home/paths.ts"
import type { Session } from "../session.ts"

/** Ctrl-], as telnet has it: no shell uses it. */
const LEAVE = 0x1d

export async function attachConsole(session: Session, name: string): Promise<void> {
  const { consoleSocket } = machinePaths(session.home, checkName(name))
  const socket = connect(consoleSocket)
  try {
    await once(socket, "connect", { signal: session.signal })
  } catch (cause) {
    session.signal.throwIfAborted()
    throw new SidecarError(
      "not-running",
      `Cannot open the console of "${name}": the machine is not running`,
      {
        cause,
        next: `Start it with skep up ${name}, or read the last console with skep logs ${name}`,
      },
    )
  }
  session.output.note("Connected to the console. Leave with Ctrl-]")
  const { stdin } = process
  if (stdin.isTTY) stdin.setRawMode(true)
  stdin.on("data", (data: Buffer) => {
    const leave = data.indexOf(LEAVE)
    if (leave >= 0) socket.end(data.subarray(0, leave))
    else socket.write(data)
  })
  stdin.on("end", () => socket.end())
  socket.pipe(process.stdout, { end: false })
  socket.on("error", () => socket.destroy())
  const hangUp = (): void => void socket.destroy()
  session.signal.addEventListener("abort", hangUp, { once: true })
  try {
    await once(socket, "close")
  } finally {
    session.signal.removeEventListener("abort", hangUp)
    if (stdin.isTTY) stdin.setRawMode(false)
    stdin.pause()
  }
  session.output.note("\nLeft the console")
}
