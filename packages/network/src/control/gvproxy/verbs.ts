/**
 * The verbs of gvproxy's HTTP service as those of ours: what a request asks for, and which status and text answers it.
 *
 * ```
 *  GET  /services/forwarder/all        [{"local":":8080","remote":"192.168.64.2:80","protocol":"tcp"}]
 *  POST /services/forwarder/expose     {local, remote, protocol}      200, 400 what it cannot read, 500 what it cannot do
 *  POST /services/forwarder/unexpose   {local, protocol}
 *  GET  /services/dns/all              zones
 *  POST /services/dns/add              {Name, Records: [{Name, IP}], DefaultIP}
 *  GET  /services/dhcp/leases, /leases {"192.168.64.2": "02:…"}
 *  GET  /cam                           {"02:…": 1}: the port that each MAC address was last seen at
 *  GET  /stats                         {"BytesSent": 0, …}
 * ```
 *
 * Errors are text, with the words that its users look for. Deviation: a remote without an address leads to the first machine, since a Unix
 * socket tells no address of who asks; gvproxy's cannot. Deviation: an empty local address is 0.0.0.0, and not :: beside it. Forwards of Unix
 * sockets and named pipes, `/tunnel` and `/connect` are not there.
 *
 * @module
 */
import { isIP } from "node:net"
import { type ErrorCode, type ForwardRule, SidecarError } from "@skep/contract"
import { formatEndpoint } from "../../addressing/address.ts"
import type { NetworkPlan } from "../../addressing/plan.ts"
import { parseZone } from "../../dns/names/zone.ts"
import { ruleName } from "../../forward/rule.ts"
import type { SkepNetwork } from "../../verbs.ts"

/** Who owns what is exposed here. */
const OWNER = "gvproxy"

export interface PortAnswer {
  readonly status: 200 | 400 | 404 | 500
  /** Becomes JSON. */
  readonly json?: unknown
  /** An error's. */
  readonly text?: string
}

/** A forward in gvproxy's words. */
interface Proxy {
  readonly local: string
  readonly remote: string
  readonly protocol: string
}

type Verb = (body: unknown) => Promise<PortAnswer>

const ANY = "0.0.0.0"

export class PortVerbs {
  readonly #network: SkepNetwork
  readonly #plan: NetworkPlan
  /** As they were asked for, by rule. */
  readonly #words = new Map<string, Proxy>()
  readonly #gets: Readonly<Record<string, Verb>> = {
    "/services/forwarder/all": () => this.#all(),
    "/services/dns/all": async () => ({ status: 200, json: await this.#network.zones() }),
    "/services/dhcp/leases": () => this.#leases(),
    "/leases": () => this.#leases(),
    "/cam": () => this.#cam(),
    "/stats": () => this.#stats(),
  }
  readonly #posts: Readonly<Record<string, Verb>> = {
    "/services/forwarder/expose": (body) => this.#expose(body),
    "/services/forwarder/unexpose": (body) => this.#unexpose(body),
    "/services/dns/add": (body) => this.#addZone(body),
  }

  constructor(network: SkepNetwork, plan: NetworkPlan) {
    this.#network = network
    this.#plan = plan
  }

  /** Never rejects. `body` is the text of a request, of bounded length. */
  async answer(method: string, path: string, body: string): Promise<PortAnswer> {
    const post = this.#posts[path]
    const verb = post ?? this.#gets[path]
    if (verb === undefined) return { status: 404, text: "404 page not found" }
    if (post !== undefined && method !== "POST") return bad("post only")
    try {
      return await verb(post === undefined ? undefined : decoded(body))
    } catch (error) {
      if (error instanceof Unreadable) return bad(error.message)
      return { status: 500, text: error instanceof Error ? error.message : String(error) }
    }
  }

  async #all(): Promise<PortAnswer> {
    const forwards = await this.#network.forwards()
    const there = new Set(forwards.map(({ rule }) => ruleName(rule)))
    for (const name of this.#words.keys()) if (!there.has(name)) this.#words.delete(name)
    const json = forwards
      .map(({ rule }) => this.#words.get(ruleName(rule)) ?? proxyOf(rule))
      .toSorted((one, other) => compare(one.local, other.local) || compare(one.protocol, other.protocol))
    return { status: 200, json }
  }

  async #expose(body: unknown): Promise<PortAnswer> {
    const { local, remote, protocol } = proxyIn(body)
    if (protocol !== "tcp" && protocol !== "udp") {
      const known = protocol === "unix" || protocol === "npipe"
      return failed(known ? `${protocol} forwards are not implemented` : `unknown protocol ${protocol}`)
    }
    const guest = hostAndPort(remote)
    const host = hostAndPort(local)
    if (guest.host !== "" && isIP(guest.host) === 0) return failed("invalid remote addr")
    const hostAddress = host.host === "" ? ANY : host.host
    if (isIP(hostAddress) === 0) return failed(`listen ${protocol}: lookup ${host.host}: no such host`)
    const rule: ForwardRule = {
      transport: protocol,
      hostAddress,
      hostPort: host.port,
      ...(guest.host === "" ? {} : { guestAddress: guest.host }),
      guestPort: guest.port,
      owner: OWNER,
    }
    if (await this.#isThere(rule)) return failed(`proxy already running for ${protocol} on ${local}`)
    try {
      const forward = await this.#network.forward(rule)
      this.#words.set(ruleName(forward.rule), { local, remote, protocol })
      return { status: 200 }
    } catch (error) {
      return failed(kernelWords(error, protocol, local))
    }
  }

  async #unexpose(body: unknown): Promise<PortAnswer> {
    const { local, protocol } = proxyIn(body)
    const { host, port } = hostAndPort(local)
    const hostAddress = host === "" ? ANY : host
    const found = (await this.#network.forwards()).find(
      ({ rule }) => rule.transport === protocol && rule.hostPort === port && rule.hostAddress === hostAddress,
    )
    if (found === undefined) return failed("proxy not found")
    this.#words.delete(ruleName(found.rule))
    await this.#network.unforward(found.rule)
    return { status: 200 }
  }

  /** Its listener, whoever asked for it and wherever it leads. */
  async #isThere({ transport, hostAddress, hostPort }: ForwardRule): Promise<boolean> {
    return (await this.#network.forwards()).some(
      ({ rule }) =>
        rule.transport === transport && rule.hostAddress === hostAddress && rule.hostPort === hostPort,
    )
  }

  /** The records add up, and the default is that of the last, also where it has none. */
  async #addZone(body: unknown): Promise<PortAnswer> {
    try {
      const zone = parseZone(body)
      await this.#network.addZone(zone)
      const whole = (await this.#network.zones()).find(({ Name }) => Name === zone.Name)
      if (whole !== undefined && whole.DefaultIP !== zone.DefaultIP) {
        await this.#network.removeZone(zone.Name)
        await this.#network.addZone({ ...whole, DefaultIP: "" })
      }
      return { status: 200 }
    } catch (error) {
      if (error instanceof SidecarError && error.code === "bad-options") return bad(error.message)
      throw error
    }
  }

  async #leases(): Promise<PortAnswer> {
    const leases = await this.#network.leases()
    const own: [string, string] = [this.#plan.gateway, this.#plan.gatewayMac]
    return {
      status: 200,
      json: Object.fromEntries([own, ...leases.map(({ address, mac }) => [address, mac])]),
    }
  }

  async #cam(): Promise<PortAnswer> {
    const links = await this.#network.links()
    const seen = links.flatMap(({ mac }, index) => (mac === undefined ? [] : [[mac, index + 1]]))
    return { status: 200, json: Object.fromEntries(seen) }
  }

  /** As seen from the network: what it sent is what machines received. */
  async #stats(): Promise<PortAnswer> {
    const { machines, counters } = await this.#network.status()
    const sum = (name: string): number =>
      machines.reduce((total, machine) => total + (machine.counters[name] ?? 0), 0)
    const json = {
      BytesSent: sum("bytesOut"),
      BytesReceived: sum("bytesIn"),
      MalformedRcvdPackets: sum("malformed"),
      DroppedPackets: sum("droppedOut"),
      IP: { PacketsReceived: sum("framesIn"), PacketsSent: sum("framesOut") },
      Skep: counters,
    }
    return { status: 200, json }
  }
}

/** What a request says cannot be read: 400. */
class Unreadable extends Error {
  override readonly name = "Unreadable"
}

function bad(text: string): PortAnswer {
  return { status: 400, text }
}

function failed(text: string): PortAnswer {
  return { status: 500, text }
}

function decoded(body: string): unknown {
  if (body.trim() === "") throw new Unreadable("EOF")
  try {
    const value: unknown = JSON.parse(body)
    return value
  } catch (error) {
    throw new Unreadable(error instanceof Error ? error.message : String(error), { cause: error })
  }
}

/** The fields of a request, by names in any case; those that are missing are empty. */
function proxyIn(body: unknown): Proxy {
  if (typeof body !== "object" || body === null || Array.isArray(body)) {
    throw new Unreadable("cannot read the request: it is no object")
  }
  const fields = new Map<string, unknown>(
    Object.entries(body).map(([key, value]) => [key.toLowerCase(), value]),
  )
  const text = (name: string): string => {
    const value = fields.get(name) ?? ""
    if (typeof value !== "string") throw new Unreadable(`cannot read the request: ${name} is no string`)
    return value
  }
  return { local: text("local"), remote: text("remote"), protocol: text("protocol") || "tcp" }
}

interface HostAndPort {
  readonly host: string
  readonly port: number
}

function hostAndPort(text: string): HostAndPort {
  const parts = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text)
  const port = Number(parts?.[3])
  if (parts === null) throw new Unreadable(`address ${text}: missing port in address`)
  if (port < 1 || port > 65_535) throw new Unreadable(`address ${text}: invalid port`)
  return { host: parts[1] ?? parts[2] ?? "", port }
}

function proxyOf(rule: ForwardRule): Proxy {
  const { transport, hostAddress, hostPort, guestAddress, guestPort, machine } = rule
  const remote =
    guestAddress === undefined ? `${machine ?? ""}:${guestPort}` : formatEndpoint(guestAddress, guestPort)
  return { local: formatEndpoint(hostAddress, hostPort), remote, protocol: transport }
}

/** The words of bind(2)'s errors, which callers of gvproxy know. */
const WORDS: Partial<Readonly<Record<ErrorCode, string>>> = {
  "address-in-use": "address already in use",
  "permission-denied": "permission denied",
}

function kernelWords(error: unknown, protocol: string, local: string): string {
  const code = error instanceof SidecarError ? error.code : undefined
  const words = code === undefined ? undefined : WORDS[code]
  if (words !== undefined) return `listen ${protocol} ${local}: bind: ${words}`
  return error instanceof Error ? error.message : String(error)
}

function compare(one: string, other: string): number {
  if (one === other) return 0
  return one < other ? -1 : 1
}
