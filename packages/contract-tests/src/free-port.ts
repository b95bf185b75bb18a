/**
 * Ports of the host that nobody has.
 *
 * @module
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createServer } from "node:net"
import type { ForwardRule, Transport } from "@skep/contract"

const LOOPBACK = "127.0.0.1"

/** A forward whose host port the kernel has just said is free. */
export async function freeRule(transport: Transport): Promise<ForwardRule> {
  return { transport, hostAddress: LOOPBACK, hostPort: await freePort(transport), guestPort: 80 }
}

async function freePort(transport: Transport): Promise<number> {
  const socket =
    transport === "tcp" ? createServer().listen(0, LOOPBACK) : createSocket("udp4").bind(0, LOOPBACK)
  await once(socket, "listening")
  const address = socket.address()
  socket.close()
  await once(socket, "close")
  if (typeof address !== "object" || address === null) throw new Error("an IP socket has a port")
  return address.port
}
