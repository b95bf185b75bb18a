/**
 * Why a port cannot be had: other programs only say that they could not set up a rule, the kernel says which way it refuses.
 *
 * @module
 */
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createServer, isIPv6 } from "node:net"
import { type ForwardRule, SidecarError } from "@skep/contract"
import { errnoOf, forwardName } from "@skep/runtime"

/** Binds the host side of a rule for a moment. Throws "address-in-use" or "permission-denied". */
export async function probeHostSide(rule: ForwardRule): Promise<void> {
  try {
    if (rule.transport === "tcp") await probeTcp(rule)
    else await probeUdp(rule)
  } catch (error) {
    throw refusal(rule, error)
  }
}

async function probeTcp(rule: ForwardRule): Promise<void> {
  const server = createServer()
  server.listen({ host: rule.hostAddress, port: rule.hostPort, exclusive: true })
  await once(server, "listening")
  server.close()
  await once(server, "close")
}

async function probeUdp(rule: ForwardRule): Promise<void> {
  const socket = createSocket(isIPv6(rule.hostAddress) ? "udp6" : "udp4")
  socket.bind({ address: rule.hostAddress, port: rule.hostPort, exclusive: true })
  await once(socket, "listening")
  socket.close()
  await once(socket, "close")
}

function refusal(rule: ForwardRule, cause: unknown): unknown {
  const host = `${rule.hostAddress}:${rule.hostPort}`
  switch (errnoOf(cause) ?? "") {
    case "EADDRINUSE":
      return new SidecarError(
        "address-in-use",
        `Cannot forward "${forwardName(rule)}": ${host} is in use on the host`,
        {
          cause,
          next: `Stop what listens there (ss -lnp 'sport = :${rule.hostPort}' shows it), or publish another port`,
        },
      )
    case "EACCES":
      return new SidecarError(
        "permission-denied",
        `Cannot forward "${forwardName(rule)}": port ${rule.hostPort} needs privileges on the host`,
        { cause, next: "Publish a port of 1024 or above, or lower net.ipv4.ip_unprivileged_port_start" },
      )
    case "EADDRNOTAVAIL":
      return new SidecarError(
        "permission-denied",
        `Cannot forward "${forwardName(rule)}": ${rule.hostAddress} is not an address of this host`,
        { cause, next: "Publish on 127.0.0.1, or on an address that `ip addr` shows" },
      )
    default:
      return cause
  }
}
