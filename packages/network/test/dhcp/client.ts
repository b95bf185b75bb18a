/**
 * A client of a DHCP server that says what it is told to, and reads the answer.
 *
 * @module
 */
import { code, type DhcpMessage, decode, emit, encode, type MessageType, parse } from "@skep/wire/dhcp"
import {
  type DhcpNetwork,
  DhcpServer,
  memoryStore,
  type Reply,
  type ServerBounds,
} from "../../src/dhcp/index.ts"

export const NOW = Date.UTC(2026, 10, 21)
export const SERVER = "192.168.64.1"
export const MAC = 0x5254000a0b0c
export const NONE = "0.0.0.0"

export const NETWORK: DhcpNetwork = {
  subnet: "192.168.64.0/24",
  gateway: SERVER,
  domain: "skep.internal",
  search: ["skep.internal", "example.test"],
  timeServers: ["192.168.64.1"],
  mtu: 65_520,
  routes: [{ destination: "10.88.0.0/16", router: "192.168.64.7" }],
  leaseSeconds: 3600,
}

export function server(network: Partial<DhcpNetwork> = {}, bounds: Partial<ServerBounds> = {}): DhcpServer {
  return new DhcpServer({ network: { ...NETWORK, ...network }, store: memoryStore(), bounds })
}

export interface Said {
  readonly type: MessageType | undefined
  readonly mac?: number
  readonly client?: string
  readonly requested?: string
  readonly server?: string
  readonly own?: string
  readonly relay?: string
  readonly broadcast?: boolean
  readonly wants?: readonly number[]
  readonly hostName?: string
  readonly size?: number
  readonly lease?: number
  readonly options?: readonly (readonly [number, Uint8Array])[]
}

export function message(said: Said): Uint8Array {
  const options = new Map<number, Uint8Array>(said.options)
  if (said.client !== undefined) options.set(code.CLIENT_IDENTIFIER, bytes(said.client))
  if (said.requested !== undefined) options.set(code.REQUESTED_ADDRESS, encode(50, said.requested))
  if (said.server !== undefined) options.set(code.SERVER_IDENTIFIER, encode(54, said.server))
  if (said.wants !== undefined) options.set(code.PARAMETER_REQUEST_LIST, encode(55, said.wants))
  if (said.hostName !== undefined) options.set(code.HOST_NAME, encode(12, said.hostName))
  if (said.size !== undefined) options.set(code.MAXIMUM_MESSAGE_SIZE, encode(57, said.size))
  if (said.lease !== undefined) options.set(code.LEASE_TIME, encode(51, said.lease))
  return emit({
    op: "request",
    type: said.type,
    hops: 0,
    transactionId: 0x1234abcd,
    seconds: 0,
    broadcast: said.broadcast ?? false,
    clientAddress: said.own ?? NONE,
    yourAddress: NONE,
    nextServer: NONE,
    relayAddress: said.relay ?? NONE,
    mac: said.mac ?? MAC,
    serverName: "",
    bootFile: "",
    options,
  })
}

export interface Heard {
  readonly reply: Reply
  readonly message: DhcpMessage
  /** Option values, decoded. */
  readonly options: Readonly<Record<number, unknown>>
}

/** What the server says to that, or undefined for silence. */
export function say(
  to: DhcpServer,
  said: Said,
  at: { now?: number; machine?: string; mtu?: number } = {},
): Heard | undefined {
  const reply = to.receive(message(said), { now: NOW, ...at })
  return reply === undefined ? undefined : hear(reply)
}

function hear(reply: Reply): Heard {
  const read = parse(reply.bytes, 0, reply.bytes.length)
  if (typeof read === "string") throw new Error(`the server's own message is ${read}`)
  const options = Object.fromEntries([...read.options].map(([key, value]) => [key, decode(key, value)]))
  return { reply, message: read, options }
}

/** DISCOVER and REQUEST. Returns the address, or undefined where one of them got no answer or a NAK. */
export function bind(
  to: DhcpServer,
  said: Omit<Said, "type"> = {},
  at: { now?: number; machine?: string; mtu?: number } = {},
): string | undefined {
  const offer = say(to, { ...said, type: "discover" }, at)
  if (offer === undefined) return undefined
  const requested = offer.message.yourAddress
  const ack = say(to, { ...said, type: "request", requested, server: SERVER }, at)
  return ack?.message.type === "ack" ? ack.message.yourAddress : undefined
}

export function bytes(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, "hex"))
}
