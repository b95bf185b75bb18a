/**
 * What the tests of the DNS share: queries and answers by dns-packet, a name server on loopback, a door for dig.
 *
 * @module
 */
import { execFile } from "node:child_process"
import { createSocket, type Socket as UdpSocket } from "node:dgram"
import { existsSync } from "node:fs"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { type Answer, type DecodedPacket, decode, encode, type Packet, type RecordType } from "dns-packet"
import type { NameServer } from "../../src/dns/host/resolv-conf.ts"
import type { OwnNames } from "../../src/dns/names/own.ts"
import type { Resolver } from "../../src/dns/resolver.ts"
import { framed, Messages } from "../../src/dns/stream.ts"

export const RD = 0x0100
export const AA = 0x0400
export const TC = 0x0200

/** What dns-packet says of a message, with the code as a word. */
export interface Read extends DecodedPacket {
  readonly rcode: string
  readonly opcode: string
}

export function read(bytes: Uint8Array | undefined): Read {
  if (bytes === undefined) throw new Error("there is no answer")
  return decode(Buffer.from(bytes)) as Read
}

export interface Asking {
  readonly id?: number
  readonly flags?: number
  /** With EDNS of this payload size. */
  readonly edns?: number
  readonly dnssec?: boolean
  readonly version?: number
}

export function query(name: string, type: string = "A", asking: Asking = {}): Uint8Array {
  const opt = {
    type: "OPT" as const,
    name: ".",
    udpPayloadSize: asking.edns ?? 0,
    extendedRcode: 0,
    ednsVersion: asking.version ?? 0,
    flags: asking.dnssec === true ? 0x8000 : 0,
    flag_do: asking.dnssec === true,
    options: [],
  }
  return encode({
    type: "query",
    id: asking.id ?? 0x1234,
    flags: asking.flags ?? RD,
    questions: [{ name, type: type as RecordType }],
    additionals: asking.edns === undefined ? [] : [opt],
  })
}

export function addressesOf(answer: Uint8Array | undefined): readonly string[] {
  return (read(answer).answers ?? []).flatMap(({ type, data }: Answer & { data?: unknown }) =>
    (type === "A" || type === "AAAA") && typeof data === "string" ? [data] : [],
  )
}

export const OWN: OwnNames = {
  gateway: ["192.168.64.1", "fd12::1"],
  host: ["192.168.64.254"],
  machines: [
    { name: "web", addresses: ["192.168.64.2", "fd12::2"] },
    { name: "Db", addresses: ["192.168.64.3"] },
  ],
  prefixes: ["192.168.64.0/24", "fd12::/64"],
}

export type Handler = (asked: Read, transport: "udp" | "tcp") => Packet | Uint8Array | undefined

/** A name server on an address of loopback's that nobody else uses. */
export interface Upstream extends AsyncDisposable {
  readonly server: NameServer
  /** What it was asked, in order: `transport name type`. */
  readonly asked: string[]
}

let nextAddress = 1

export async function upstream(handler: Handler): Promise<Upstream> {
  const address = `127.${64 + (process.pid & 63)}.${(process.pid >> 6) & 255}.${nextAddress++}`
  const asked: string[] = []
  const respond = (bytes: Buffer, transport: "udp" | "tcp"): Uint8Array | undefined => {
    const packet = read(bytes)
    const [question] = packet.questions ?? []
    asked.push(`${transport} ${question?.name} ${question?.type}`)
    const answer = handler(packet, transport)
    if (answer === undefined || answer instanceof Uint8Array) return answer
    return encode({ type: "response", id: packet.id ?? 0, questions: packet.questions ?? [], ...answer })
  }
  const sockets = new Set<Socket>()
  const tcp = createServer((socket) => {
    sockets.add(socket)
    const messages = new Messages(0xffff)
    socket.on("error", () => socket.destroy())
    socket.on("data", (chunk) => {
      const whole = messages.read(chunk)
      if (whole === "oversize") return
      for (const message of whole) {
        const answer = respond(Buffer.from(message), "tcp")
        if (answer !== undefined) socket.write(framed(answer))
      }
    })
  })
  await new Promise<void>((resolve) => {
    tcp.listen(0, address, resolve)
  })
  const { port } = tcp.address() as AddressInfo
  const udp = await bound(port, address)
  udp.on("message", (bytes, from) => {
    const answer = respond(bytes, "udp")
    if (answer !== undefined) udp.send(answer, from.port, from.address)
  })
  return {
    server: { address, port },
    asked,
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy()
      await Promise.all([closed(udp), new Promise((resolve) => tcp.close(resolve))])
    },
  }
}

/** A resolver behind UDP and TCP ports of loopback, as a machine sees it. */
export async function door(resolver: Pick<Resolver, "answer">): Promise<Upstream> {
  const address = `127.${64 + (process.pid & 63)}.${(process.pid >> 6) & 255}.${nextAddress++}`
  const sockets = new Set<Socket>()
  const answer = (bytes: Uint8Array, transport: "udp" | "tcp"): Promise<Uint8Array | undefined> =>
    resolver.answer(bytes, { transport, now: performance.now(), machine: "web" })
  const tcp = createServer((socket) => {
    sockets.add(socket)
    const messages = new Messages(0xffff)
    socket.on("error", () => socket.destroy())
    socket.on("data", (chunk) => {
      const whole = messages.read(chunk)
      if (whole === "oversize") return
      for (const message of whole)
        void answer(message, "tcp").then((bytes) => bytes && !socket.destroyed && socket.write(framed(bytes)))
    })
  })
  await new Promise<void>((resolve) => {
    tcp.listen(0, address, resolve)
  })
  const { port } = tcp.address() as AddressInfo
  const udp = await bound(port, address)
  let open = true
  udp.on("message", (bytes, from) => {
    void answer(bytes, "udp").then((reply) => {
      if (reply !== undefined && open) udp.send(reply, from.port, from.address)
    })
  })
  return {
    server: { address, port },
    asked: [],
    [Symbol.asyncDispose]: async () => {
      open = false
      for (const socket of sockets) socket.destroy()
      await Promise.all([closed(udp), new Promise((resolve) => tcp.close(resolve))])
    },
  }
}

async function bound(port: number, address: string): Promise<UdpSocket> {
  const socket = createSocket("udp4")
  await new Promise<void>((resolve) => {
    socket.bind(port, address, resolve)
  })
  return socket
}

function closed(socket: UdpSocket): Promise<void> {
  return new Promise((resolve) => {
    socket.close(resolve)
  })
}

export const DIG = "/usr/bin/dig"
export const hasDig = existsSync(DIG)

/** What dig prints. One try, so that nothing is asked twice. */
export function dig({ address, port }: NameServer, ...args: readonly string[]): Promise<string> {
  const all = [`@${address}`, "-p", String(port), "+time=15", "+tries=1", "+nocmd", "+nostats", ...args]
  return new Promise((resolve, reject) => {
    execFile(DIG, all, { timeout: 20_000 }, (error, stdout) => {
      if (error === null || stdout !== "") resolve(stdout)
      else reject(error)
    })
  })
}

/** The sections of a message that dig printed, without comments and with single blanks. */
export function records(printed: string): readonly string[] {
  return printed
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith(";"))
    .map((line) => line.replace(/\s+/g, " "))
}
