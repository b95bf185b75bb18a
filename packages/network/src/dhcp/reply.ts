/**
 * What a server says, and where it goes: RFC 2131, section 4.3.1 (table 3) and section 4.1.
 *
 * @module
 */
import { code, DATAGRAM_HEADERS, DATAGRAM_MIN, type DhcpMessage, decode, emit, encode } from "@skep/wire/dhcp"
import { addressBytes, addressOf, addressText } from "./address.ts"
import type { Plan } from "./plan.ts"

/** A message to be sent from port 67 of the gateway's address. */
export interface Reply {
  /** The payload of the datagram, whole. */
  readonly bytes: Uint8Array
  readonly kind: "broadcast" | "unicast" | "relay"
  /** It gives an address for a time, which is to be kept before it is sent. */
  readonly binds: boolean
  /** Four bytes. */
  readonly address: Uint8Array
  /** Where the frame goes: no ARP is asked, the client cannot answer yet. Undefined for a relay, which is a neighbour like others. */
  readonly mac: number | undefined
  /** 68, or 67 for a relay. */
  readonly port: number
}

/** What an answer says beside the network's options. */
export interface Answer {
  readonly type: "offer" | "ack" | "nak"
  /** 0 where none is given: a NAK, and the answer to an INFORM. */
  readonly address: number
  /** Undefined where there is no lease: likewise. */
  readonly leaseSeconds?: number
  readonly hostName?: string
  /** Of the client's link, where that is not the network's. */
  readonly mtu?: number
  /** For whoever reads the client's log. */
  readonly reason?: string
}

const CLIENT_PORT = 68
const RELAY_PORT = 67
const BROADCAST = 0xffff_ffff
const BROADCAST_MAC = 0xffff_ffff_ffff
const NONE = "0.0.0.0"

/** RFC 2131, section 4.4.5: T1 is half of the lease, T2 seven eighths. */
const RENEWAL = 0.5
const REBINDING = 0.875

/** What a client gets that does not say what it wants. */
const USUAL = [
  code.ROUTER,
  code.NAME_SERVER,
  code.HOST_NAME,
  code.DOMAIN_NAME,
  code.INTERFACE_MTU,
  code.BROADCAST_ADDRESS,
  code.NTP_SERVER,
]
/** These go first, wanted by the client in whatever order: the mask before routers (RFC 2132, section 3.3), routes before option 3 (RFC 3442). */
const FIRST = [code.SUBNET_MASK, code.CLASSLESS_ROUTES, code.MICROSOFT_CLASSLESS_ROUTES]

export function replyTo(request: DhcpMessage, answer: Answer, plan: Plan): Reply {
  const nak = answer.type === "nak"
  const relayed = request.relayAddress !== NONE
  const message: DhcpMessage = {
    op: "reply",
    type: answer.type,
    hops: 0,
    transactionId: request.transactionId,
    seconds: 0,
    // RFC 2131, section 4.3.2: a NAK by a relay has the broadcast bit, for the client has no address to be reached by.
    broadcast: request.broadcast || (nak && relayed),
    clientAddress: answer.type === "ack" ? request.clientAddress : NONE,
    yourAddress: addressText(answer.address),
    nextServer: NONE,
    relayAddress: request.relayAddress,
    mac: request.mac,
    serverName: "",
    bootFile: "",
    options: optionsOf(request, answer, plan),
  }
  const binds = answer.type === "ack" && answer.address !== 0
  const bytes = emit(message, limitOf(request, answer.mtu ?? plan.messageMax))
  return { bytes, binds, ...destinationOf(request, message, nak) }
}

function optionsOf(request: DhcpMessage, answer: Answer, plan: Plan): Map<number, Uint8Array> {
  const { leaseSeconds, reason } = answer
  const own = ownOf(answer)
  const options = new Map([[code.SERVER_IDENTIFIER, encode(code.SERVER_IDENTIFIER, plan.serverText)]])
  if (leaseSeconds !== undefined) {
    options.set(code.LEASE_TIME, encode(code.LEASE_TIME, leaseSeconds))
    options.set(code.RENEWAL_TIME, encode(code.RENEWAL_TIME, Math.floor(leaseSeconds * RENEWAL)))
    options.set(code.REBINDING_TIME, encode(code.REBINDING_TIME, Math.floor(leaseSeconds * REBINDING)))
  }
  if (reason !== undefined) options.set(code.MESSAGE, encode(code.MESSAGE, reason))
  for (const option of answer.type === "nak" ? [] : wantedBy(request)) {
    const value = own.get(option) ?? plan.values.get(option)
    if (value !== undefined) options.set(option, value)
  }
  // RFC 6842: a client's identifier comes back. RFC 3046, section 2.2: so does what a relay added.
  for (const option of [code.CLIENT_IDENTIFIER, code.RELAY_AGENT]) {
    const value = request.options.get(option)
    if (value !== undefined) options.set(option, value)
  }
  return options
}

/** What is not the same for all. */
function ownOf({ hostName, mtu }: Answer): ReadonlyMap<number, Uint8Array> {
  const own = new Map<number, Uint8Array>()
  if (hostName !== undefined) own.set(code.HOST_NAME, encode(code.HOST_NAME, hostName))
  if (mtu !== undefined) own.set(code.INTERFACE_MTU, encode(code.INTERFACE_MTU, mtu))
  return own
}

/** In the order in which they are kept where not all fit: the client's own. */
function wantedBy(request: DhcpMessage): ReadonlySet<number> {
  const list = request.options.get(code.PARAMETER_REQUEST_LIST)
  const wanted = new Set<number>(list ?? USUAL)
  const first = FIRST.filter((option) => option === code.SUBNET_MASK || wanted.has(option))
  return new Set([...first, ...wanted])
}

/** What the client takes, and a frame holds. */
function limitOf(request: DhcpMessage, messageMax: number): number {
  const said = request.options.get(code.MAXIMUM_MESSAGE_SIZE)
  const size = said === undefined ? undefined : decode(code.MAXIMUM_MESSAGE_SIZE, said)
  const datagram = typeof size === "number" ? Math.max(DATAGRAM_MIN, size) : DATAGRAM_MIN
  return Math.min(datagram, messageMax) - DATAGRAM_HEADERS
}

function destinationOf(
  request: DhcpMessage,
  reply: DhcpMessage,
  nak: boolean,
): Omit<Reply, "binds" | "bytes"> {
  if (request.relayAddress !== NONE) {
    return { kind: "relay", address: bytesOf(request.relayAddress), mac: undefined, port: RELAY_PORT }
  }
  const own = nak ? NONE : request.clientAddress
  if (own !== NONE) return { kind: "unicast", address: bytesOf(own), mac: request.mac, port: CLIENT_PORT }
  if (nak || request.broadcast) {
    return { kind: "broadcast", address: addressBytes(BROADCAST), mac: BROADCAST_MAC, port: CLIENT_PORT }
  }
  return { kind: "unicast", address: bytesOf(reply.yourAddress), mac: request.mac, port: CLIENT_PORT }
}

function bytesOf(text: string): Uint8Array {
  return addressBytes(addressOf(text) ?? BROADCAST)
}
