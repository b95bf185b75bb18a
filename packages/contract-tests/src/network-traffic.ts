/**
 * What a guest gets of its network: an address, the host, and the forwards into it, with the data checked.
 *
 * Part of the compliance suite of the network role (network-contract.ts). All servers listen on the host's loopback, which the guest reaches at
 * `hostAddress`; no case sends anything further.
 *
 * @module
 */
import { createHash } from "node:crypto"
import { createSocket, type Socket as UdpSocket } from "node:dgram"
import { once } from "node:events"
import { connect, createServer, type Server, type Socket } from "node:net"
import type { ForwardRule, NetworkRunning, Transport } from "@skep/contract"
import { withResolvers } from "@skep/runtime"
import { expect } from "vitest"
import { freeRule } from "./free-port.ts"
import type { GuestLease, NetworkGuest } from "./guest/guest.ts"

export interface TrafficFixture extends AsyncDisposable {
  readonly network: NetworkRunning
  /** Joined to the network. The suite asks for its lease. */
  readonly guest: NetworkGuest
  /** Where the guest reaches the host's loopback; its router's address unless told. */
  readonly hostAddress?: string
  /** Names that the network itself knows, and an address of each. */
  readonly names: Readonly<Record<string, string>>
  /** Kills the network without a word and starts another, which the guest joins. Resolves with that one. */
  readonly restart: () => Promise<NetworkRunning>
}

export type TrafficCheck = (name: string, run: (fixture: Guested) => Promise<void>) => void

/** A fixture whose guest has its address. */
export interface Guested extends TrafficFixture {
  readonly lease: GuestLease
  readonly hostAddress: string
}

const LOOPBACK = "127.0.0.1"
const STREAM_BYTES = 8 << 20
const PATTERN = "the quick brown bee jumps over the lazy drone"
const GUEST_PORT = 4000
const GREETING = "ready\n"
/** How often a datagram is sent until an answer comes, and how long each is waited for: nothing repeats them. */
const DATAGRAMS = { tries: 20, waitMs: 250 }

/** Takes the lease first: every case needs it. */
export async function guested(fixture: TrafficFixture): Promise<Guested> {
  const lease = await fixture.guest.lease()
  return { ...fixture, lease, hostAddress: fixture.hostAddress ?? lease.router }
}

export function trafficCases(check: TrafficCheck): void {
  addressCases(check)
  streamCases(check)
  datagramCases(check)
  forwardCases(check)
  lifeCases(check)
}

function addressCases(check: TrafficCheck): void {
  check("leases the guest an address, and the same when it asks again", async ({ guest, lease }) => {
    expect(networkOf(lease.address, lease.prefix)).toBe(networkOf(lease.router, lease.prefix))
    expect(lease.address).not.toBe(lease.router)
    expect(await guest.lease()).toEqual(lease)
  })
  check("answers ARP for its router", async ({ guest, lease }) => {
    const { router } = lease
    await guest.run(`ip neigh flush dev ${guest.interface}; echo x | socat -t1 - UDP:${router}:9`)
    const { stdout } = await guest.run(
      `${untilIn("lladdr", `ip neigh show to ${router}`)}; ip neigh show to ${router}`,
    )
    expect(stdout).toMatch(/lladdr ([0-9a-f]{2}:){5}[0-9a-f]{2}/)
  })
  check("announces an IPv6 network, and answers for its router", async ({ guest }) => {
    const route = "ip -6 route show default"
    const { stdout } = await guest.run(`${untilIn("via", route)}; ${route}`)
    const router = /via (\S+)/.exec(stdout)?.[1] ?? "no router"
    const neighbour = `ip -6 neigh show to ${router}`
    const asked = `ip -6 neigh flush dev ${guest.interface}; echo x | socat -t1 - UDP6:[${router}%${guest.interface}]:9`
    const found = await guest.run(`${asked}; ${untilIn("lladdr", neighbour)}; ${neighbour}`)
    expect(found.stdout).toMatch(/lladdr ([0-9a-f]{2}:){5}[0-9a-f]{2}/)
    const addresses = await guest.run(`ip -6 addr show dev ${guest.interface}`)
    expect(addresses.stdout).toMatch(/inet6 (?!fe80)/)
  })
  check("resolves its own names", async ({ guest, names }) => {
    expect(Object.keys(names).length).toBeGreaterThan(0)
    for (const [name, address] of Object.entries(names)) {
      const { stdout } = await guest.run(`nslookup -type=A ${name}`)
      expect({ name, stdout }).toMatchObject({ stdout: expect.stringContaining(address) })
    }
  })
}

function streamCases(check: TrafficCheck): void {
  check("carries a stream from the guest to the host unchanged", async ({ guest, hostAddress }) => {
    const hash = createHash("sha256")
    const received = withResolvers<number>()
    await using server = await serveTcp((socket) => {
      let bytes = 0
      socket.on("data", (chunk: Buffer) => {
        hash.update(chunk)
        bytes += chunk.length
      })
      socket.on("end", () => {
        socket.end()
        received.resolve(bytes)
      })
    })
    const line = `yes '${PATTERN}' | head -c ${STREAM_BYTES} | socat -u - TCP:${hostAddress}:${server.port}`
    expect(await guest.run(line)).toMatchObject({ code: 0 })
    expect(await received.promise).toBe(STREAM_BYTES)
    expect(hash.digest("hex")).toBe(sha256(patterned()))
  })
  check("carries a stream from the host to the guest unchanged", async ({ guest, hostAddress }) => {
    const data = patterned()
    await using server = await serveTcp((socket) => socket.end(data))
    const { stdout } = await guest.run(`socat -u TCP:${hostAddress}:${server.port} - | sha256sum`)
    expect(stdout.split(" ")[0]).toBe(sha256(data))
  })
  check("keeps a stream half open whose guest has ended", async ({ guest, hostAddress }) => {
    await using server = await serveTcp((socket) => {
      let said = ""
      socket.on("data", (chunk: Buffer) => {
        said += chunk.toString()
      })
      socket.on("end", () => socket.end(`you said ${said}`))
    })
    const { stdout } = await guest.run(`printf ping | socat -t20 - TCP:${hostAddress}:${server.port}`)
    expect(stdout).toBe("you said ping")
  })
  check("refuses the guest a port where nobody listens", async ({ guest, hostAddress }) => {
    const { hostPort } = await freeRule("tcp")
    const { stderr } = await guest.run(`socat -u - TCP:${hostAddress}:${hostPort},connect-timeout=10`)
    expect(stderr).toContain("refused")
  })
}

function datagramCases(check: TrafficCheck): void {
  check("carries datagrams between the guest and the host", async ({ guest, hostAddress }) => {
    await using server = await echoUdp()
    const line = `printf 'hello datagram' | socat -t1 - UDP:${hostAddress}:${server.port}`
    const { stdout } = await guest.run(
      `for i in 1 2 3 4 5; do said=$(${line}); [ -n "$said" ] && break; done; echo "$said"`,
    )
    expect(stdout).toBe("hello datagram\n")
  })
  check("carries datagrams through a forward", async ({ guest, network }) => {
    const rule = await ruleTo("udp", GUEST_PORT)
    await using _listener = await guest.serve(
      `socat -d -d UDP-RECVFROM:${GUEST_PORT},fork EXEC:cat`,
      "receiving on",
    )
    await using _forward = await network.forward(rule)
    expect(await askUdp(rule.hostPort, "hello forward")).toBe("hello forward")
  })
}

function forwardCases(check: TrafficCheck): void {
  check("carries a stream through a forward unchanged, both ways at once", async ({ guest, network }) => {
    const rule = await ruleTo("tcp", GUEST_PORT)
    await using _listener = await listen(guest, GUEST_PORT, "cat")
    await using _forward = await network.forward(rule)
    const data = patterned()
    expect(sha256(await echoed(await dial(rule), data))).toBe(sha256(data))
  })
  check(
    "keeps a stream through a forward half open whose host's end has ended",
    async ({ guest, network }) => {
      const rule = await ruleTo("tcp", GUEST_PORT)
      await using _listener = await listen(guest, GUEST_PORT, "sha256sum")
      await using _forward = await network.forward(rule)
      const data = patterned()
      expect((await answerOf(await dial(rule), data)).split(" ")[0]).toBe(sha256(data))
    },
  )
  check("carries what the guest says first", async ({ guest, network }) => {
    const rule = await ruleTo("tcp", GUEST_PORT)
    await using _listener = await listen(guest, GUEST_PORT, "echo ready; cat")
    await using _forward = await network.forward(rule)
    expect(await greeted(rule, "hello")).toBe(`${GREETING}hello`)
  })
  check("hears that the guest refuses a forward's connection", async ({ network }) => {
    const rule = await ruleTo("tcp", GUEST_PORT)
    await using _forward = await network.forward(rule)
    expect(await said(rule, "hello?")).toBe("")
  })
  check("adds and removes forwards while others carry on", async ({ guest, network }) => {
    await using _listener = await listen(guest, GUEST_PORT, "cat")
    const [first, second] = [await ruleTo("tcp", GUEST_PORT), await ruleTo("tcp", GUEST_PORT)]
    await using _first = await network.forward(first)
    const later = await network.forward(second)
    for (const rule of [first, second]) expect(await said(rule, "hello")).toBe("hello")
    await later[Symbol.asyncDispose]()
    await expect(dial(second)).rejects.toMatchObject({ code: "ECONNREFUSED" })
    expect(await said(first, "again")).toBe("again")
  })
  check("keeps open connections while forwards come and go", async ({ guest, network }) => {
    await using _listener = await listen(guest, GUEST_PORT, "cat")
    const rule = await ruleTo("tcp", GUEST_PORT)
    await using _forward = await network.forward(rule)
    const socket = await dial(rule)
    socket.write("before")
    await once(socket, "data")
    const other = await network.forward(await ruleTo("tcp", GUEST_PORT + 1))
    await other[Symbol.asyncDispose]()
    expect((await echoed(socket, Buffer.from("after"))).toString()).toBe("after")
  })
}

function lifeCases(check: TrafficCheck): void {
  check(
    "is back under the running guest after it was killed",
    async ({ guest, hostAddress, lease, restart }) => {
      const data = Buffer.from("still there")
      await using server = await serveTcp((socket) => socket.end(data))
      const line = `socat -u TCP:${hostAddress}:${server.port},connect-timeout=5 -`
      expect((await guest.run(line)).stdout).toBe("still there")
      const network = await restart()
      // The guest does nothing for it but try again.
      const tried = await guest.run(`for i in $(seq 50); do ${line} && break; sleep 0.1; done`)
      expect(tried.stdout).toBe("still there")
      const rule = await ruleTo("tcp", GUEST_PORT)
      await using _listener = await listen(guest, GUEST_PORT, "cat")
      await using _forward = await network.forward(rule)
      expect(await said(rule, "hello again")).toBe("hello again")
      expect((await guest.lease()).address).toBe(lease.address)
    },
  )
}

/** A line that ends as soon as what `line` prints has `text`, or after some seconds. */
function untilIn(text: string, line: string): string {
  return `for i in $(seq 50); do ${line} | grep -q ${text} && break; sleep 0.1; done`
}

function networkOf(address: string, prefix: number): number {
  const bits = address.split(".").reduce((sum, byte) => sum * 256 + Number(byte), 0)
  return Math.floor(bits / 2 ** (32 - prefix))
}

/** What `yes PATTERN | head -c STREAM_BYTES` prints. */
function patterned(): Buffer {
  return Buffer.alloc(STREAM_BYTES, `${PATTERN}\n`)
}

function sha256(data: Buffer): string {
  return createHash("sha256").update(data).digest("hex")
}

async function ruleTo(transport: Transport, guestPort: number): Promise<ForwardRule> {
  return { ...(await freeRule(transport)), guestPort }
}

/** A program of the guest for each connection to its port. */
function listen(guest: NetworkGuest, port: number, program: string): Promise<AsyncDisposable> {
  return guest.serve(`socat -d -d TCP-LISTEN:${port},reuseaddr,fork SYSTEM:"${program}"`, "listening on")
}

interface Serving extends AsyncDisposable {
  readonly port: number
}

async function serveTcp(onSocket: (socket: Socket) => void): Promise<Serving> {
  const open = new Set<Socket>()
  const server: Server = createServer({ allowHalfOpen: true }, (socket) => {
    open.add(socket)
    socket.on("error", () => socket.destroy())
    onSocket(socket)
  })
  server.listen(0, LOOPBACK)
  await once(server, "listening")
  return {
    port: portOf(server.address()),
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy()
      server.close()
      await once(server, "close")
    },
  }
}

async function echoUdp(): Promise<Serving> {
  const socket: UdpSocket = createSocket("udp4").bind(0, LOOPBACK)
  await once(socket, "listening")
  socket.on("message", (message, { port, address }) => socket.send(message, port, address))
  return {
    port: portOf(socket.address()),
    [Symbol.asyncDispose]: async () => {
      socket.close()
      await once(socket, "close")
    },
  }
}

function portOf(address: ReturnType<Server["address"]>): number {
  if (typeof address !== "object" || address === null) throw new Error("an IP socket has a port")
  return address.port
}

/** A connection to a forward. Rejects where nobody listens. */
async function dial({ hostAddress, hostPort }: ForwardRule): Promise<Socket> {
  const socket = connect({ host: hostAddress, port: hostPort, allowHalfOpen: true })
  await once(socket, "connect")
  return socket
}

async function said(rule: ForwardRule, text: string): Promise<string> {
  return (await echoed(await dial(rule), Buffer.from(text))).toString()
}

/** Waits for the guest's word before it says `text`; resolves with all that came. */
async function greeted(rule: ForwardRule, text: string): Promise<string> {
  const socket = await dial(rule)
  let came = ""
  socket.on("data", (chunk: Buffer) => {
    came += chunk.toString()
    if (came === GREETING) socket.write(text)
    if (came.length >= GREETING.length + text.length) socket.destroy()
  })
  await closeOf(socket)
  return came
}

/** Sends `data`, and ends when as much has come back, or the other end does. */
async function echoed(socket: Socket, data: Buffer): Promise<Buffer> {
  const back: Buffer[] = []
  let bytes = 0
  socket.on("data", (chunk: Buffer) => {
    back.push(chunk)
    bytes += chunk.length
    if (bytes >= data.length) socket.destroy()
  })
  const closed = closeOf(socket)
  socket.write(data)
  await closed
  return Buffer.concat(back)
}

/** Sends `data`, ends, and resolves with what comes back until the other end. A reset is an end. */
async function answerOf(socket: Socket, data: Buffer): Promise<string> {
  let text = ""
  socket.on("data", (chunk: Buffer) => {
    text += chunk.toString()
  })
  const closed = closeOf(socket)
  socket.end(data)
  await closed
  return text
}

/** Resolves when the other end has ended, or either has broken off. */
function closeOf(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.on("error", () => socket.destroy())
    socket.once("end", () => socket.destroy())
    socket.once("close", () => resolve())
  })
}

/** Sends a datagram until one comes back. */
async function askUdp(port: number, text: string): Promise<string> {
  const socket = createSocket("udp4")
  const answer = withResolvers<string>()
  socket.on("message", (message) => answer.resolve(message.toString()))
  socket.on("error", () => undefined) // nobody listens yet: the next one may arrive
  socket.connect(port, LOOPBACK)
  await once(socket, "connect")
  let left = DATAGRAMS.tries
  const send = (): void => {
    left--
    if (left < 0) answer.reject(new Error("no datagram came back"))
    else socket.send(text)
  }
  const timer = setInterval(send, DATAGRAMS.waitMs)
  send()
  try {
    return await answer.promise
  } finally {
    clearInterval(timer)
    socket.close()
  }
}
