/**
 * A program of its own, run by nsenter within the namespaces of another process: opens a TAP device there and hands its descriptor to whoever
 * started it. Its argument says what to open, as JSON.
 *
 * @module
 */
import { SystemError } from "@skep/loop/sys"
import { openHere } from "./device.ts"
import { type Asked, HANDOVER_FD, type Handover, handOver } from "./handover.ts"

try {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- what `openTapOfUser` wrote in this version of the program
  const { hardwareAddress, ...asked } = JSON.parse(process.argv[2] ?? "{}") as Asked
  const address = hardwareAddress === undefined ? {} : { hardwareAddress: Uint8Array.from(hardwareAddress) }
  const device = openHere({ ...asked, ...address }, true)
  const fds = device.interface === undefined ? [device.fd] : [device.fd, device.interface.socket]
  const { interfaceName, mtu, vnetHeader, cutsUdp } = device
  handOver(HANDOVER_FD, { interfaceName, mtu, vnetHeader, cutsUdp }, fds)
} catch (error) {
  handOver(HANDOVER_FD, describe(error), [])
}

function describe(error: unknown): Handover {
  if (error instanceof SystemError) {
    const { message, syscall, errno } = error
    return { error: message.slice(syscall.length + 2), syscall, errno }
  }
  return { error: String(error) }
}
