/**
 * DHCPRELEASE (RFC 2131, section 4.4.6) in the name of a client that is gone, to a server on this host.
 *
 * @module
 */

import { randomBytes } from "node:crypto"
import { createSocket } from "node:dgram"
import { SidecarError } from "@skep/contract"
import * as address from "@skep/wire/address"
import { code, emit } from "@skep/wire/dhcp"
import * as mac from "@skep/wire/mac"
import { bytesOf, type Document, ETHERNET, type Lease } from "../model.ts"
import { numberOf } from "../plan/address-number.ts"
import { ownAddressFinder } from "./own-addresses.ts"

const SERVER_PORT = 67
const NOBODY = "0.0.0.0"

/** Resolves when it is sent; nobody answers it. Throws "unsupported" where the server is not on this host, or the lease is none of IPv4. */
export async function sendRelease(lease: Lease, document: Document, signal: AbortSignal): Promise<void> {
  const server = serverOf(lease, document)
  const message = releaseOf(lease, server)
  const socket = createSocket("udp4")
  try {
    await new Promise<void>((resolve, reject) => {
      const stop = (): void => reject(signal.reason)
      signal.addEventListener("abort", stop, { once: true })
      socket.once("error", reject)
      socket.send(message, SERVER_PORT, server, (error) => {
        signal.removeEventListener("abort", stop)
        if (error === null) resolve()
        else reject(error)
      })
    })
  } finally {
    socket.close()
  }
}

export function releaseOf(
  { address: own, hardware, hardwareType, clientId }: Lease,
  server: string,
): Uint8Array {
  const parsed = address.parse(own)
  if (typeof parsed === "string" || parsed.length !== 4)
    throw refused(own, "only leases of IPv4 are given back so")
  if (hardware === undefined && clientId === undefined)
    throw refused(own, "the lease does not say of which client it is")
  const hardwareAddress = (hardwareType ?? ETHERNET) === ETHERNET ? mac.parse(hardware ?? "") : 0
  const options = new Map<number, Uint8Array>([[code.SERVER_IDENTIFIER, octetsOfAddress(server)]])
  if (clientId !== undefined) options.set(code.CLIENT_IDENTIFIER, bytesOf(clientId))
  return emit({
    op: "request",
    type: "release",
    hops: 0,
    transactionId: randomBytes(4).readUInt32BE(),
    seconds: 0,
    broadcast: false,
    clientAddress: own,
    yourAddress: NOBODY,
    nextServer: NOBODY,
    relayAddress: NOBODY,
    mac: typeof hardwareAddress === "number" ? hardwareAddress : 0,
    serverName: "",
    bootFile: "",
    options,
  })
}

function octetsOfAddress(text: string): Uint8Array {
  const bytes = address.parse(text)
  if (typeof bytes === "string") throw refused(text, "that is no address")
  return bytes
}

function refused(what: string, why: string): SidecarError {
  return new SidecarError("unsupported", `Cannot release ${what} while its server runs: ${why}`)
}

/** The server's own address: of this host, on the network of the lease. */
function serverOf(lease: Lease, document: Document): string {
  const said = document.networks.find(({ address: base, mask }) => isIn(lease.address, base, mask))?.server
  if (said !== undefined) return said
  const own = ownAddressFinder()(lease.address)
  if (own !== undefined) return own
  throw refused(lease.address, "this host is not on its network")
}

function isIn(one: string, network: string, mask: string): boolean {
  const [a, b, bits] = [numberOf(one), numberOf(network), numberOf(mask)]
  return a !== undefined && b !== undefined && bits !== undefined && (a & bits) === (b & bits)
}
