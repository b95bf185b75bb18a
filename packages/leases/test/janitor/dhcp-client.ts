/**
 * A machine on a network, as QEMU has one at the other end of its stream: frames, each behind its length in four bytes. It asks for an address as one that boots does,
 * RFC 2131, section 3.1.
 *
 * @module
 */
import type { Socket } from "node:net"
import type { LeaseClient } from "@skep/contract-tests"
import { openClient } from "@skep/testkit"
import * as address from "@skep/wire/address"
import * as dhcp from "@skep/wire/dhcp"
import * as ethernet from "@skep/wire/ethernet"
import * as ip from "@skep/wire/ip"
import * as mac from "@skep/wire/mac"
import * as transport from "@skep/wire/transport"
import * as udp from "@skep/wire/udp"

const NOBODY = "0.0.0.0"
const EVERYBODY = "255.255.255.255"
const CLIENT_PORT = 68
const SERVER_PORT = 67
const LENGTH = 4
const HOPS = 64

type Options = readonly (readonly [number, Uint8Array])[]

/** Connects, gets an address, and hangs up, as a machine does that ends without a word. */
export async function boot(socket: string, client: LeaseClient): Promise<string> {
  await using link = await openClient(socket)
  const hostName = [dhcp.code.HOST_NAME, dhcp.encode(dhcp.code.HOST_NAME, client.name)] as const
  link.write(framed(client, "discover", [hostName]))
  for await (const { type, yourAddress, options } of repliesOn(link)) {
    if (type === "ack") return yourAddress
    if (type !== "offer") throw new Error(`the server says ${type}`)
    const { REQUESTED_ADDRESS, SERVER_IDENTIFIER } = dhcp.code
    const chosen = [
      [REQUESTED_ADDRESS, dhcp.encode(REQUESTED_ADDRESS, yourAddress)],
      [SERVER_IDENTIFIER, options.get(SERVER_IDENTIFIER) ?? new Uint8Array()],
    ] as const
    link.write(framed(client, "request", [hostName, ...chosen]))
  }
  throw new Error(`the network hung up on "${client.name}"`)
}

function framed(client: LeaseClient, type: dhcp.MessageType, options: Options): Uint8Array {
  const station = mac.parse(client.mac)
  if (typeof station === "string") throw new Error(station)
  const message = dhcp.emit({
    op: "request",
    type,
    hops: 0,
    transactionId: 0x1234abcd,
    seconds: 0,
    broadcast: false,
    clientAddress: NOBODY,
    yourAddress: NOBODY,
    nextServer: NOBODY,
    relayAddress: NOBODY,
    mac: station,
    serverName: "",
    bootFile: "",
    options: new Map(options),
  })
  const ipAt = LENGTH + ethernet.HEADER
  const udpAt = ipAt + ip.headerSize(LENGTH)
  const bytes = Buffer.alloc(udpAt + udp.HEADER + message.length)
  bytes.writeUInt32BE(bytes.length - LENGTH)
  ethernet.emit(bytes, LENGTH, mac.BROADCAST, station, ethernet.TYPE_IPV4)
  const [source, destination] = [bytesOf(NOBODY), bytesOf(EVERYBODY)]
  const payloadLength = udp.HEADER + message.length
  ip.emit(bytes, ipAt, {
    source,
    destination,
    protocol: ip.PROTOCOL_UDP,
    payloadLength,
    hopLimit: HOPS,
    moreFragments: false,
  })
  udp.emit(bytes, udpAt, CLIENT_PORT, SERVER_PORT, message.length)
  bytes.set(message, udpAt + udp.HEADER)
  transport.finish(bytes, ipAt, bytes.length, 0)
  return bytes
}

function bytesOf(text: string): Uint8Array {
  const bytes = address.parse(text)
  if (typeof bytes === "string") throw new Error(bytes)
  return bytes
}

/** What is said to port 68; all else on the link is passed over. */
async function* repliesOn(link: Socket): AsyncGenerator<dhcp.DhcpMessage> {
  let received = Buffer.alloc(0)
  for await (const chunk of link) {
    received = Buffer.concat([received, chunk as Buffer])
    for (;;) {
      if (received.length < LENGTH) break
      const end = LENGTH + received.readUInt32BE(0)
      if (received.length < end) break
      const reply = replyIn(received.subarray(0, end))
      received = received.subarray(end)
      if (reply !== undefined) yield reply
    }
  }
}

function replyIn(bytes: Uint8Array): dhcp.DhcpMessage | undefined {
  const end = bytes.length
  const packet = ip.parse(bytes, LENGTH + ethernet.HEADER, end, end, ip.ipView())
  if (typeof packet === "string" || packet.protocol !== ip.PROTOCOL_UDP) return undefined
  const datagram = udp.parse(bytes, packet.payloadAt, end, packet.payloadEnd, udp.view())
  if (typeof datagram === "string" || datagram.destination !== CLIENT_PORT) return undefined
  const message = dhcp.parse(bytes, datagram.payloadAt, datagram.payloadEnd)
  return typeof message === "string" ? undefined : message
}
