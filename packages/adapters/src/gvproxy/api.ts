/**
 * The client of gvproxy's HTTP service, as far as forwards go: every call asks and answers on a connection of its own.
 *
 * ```
 *  GET  /services/forwarder/all        [{"local":"127.0.0.1:8080","remote":"192.168.127.2:80","protocol":"tcp"}]
 *  POST /services/forwarder/expose     {local, remote, protocol}     200; 400 and 500 with a text
 *  POST /services/forwarder/unexpose   {local, protocol}
 * ```
 *
 * @module
 */
import { type IncomingMessage, request } from "node:http"
import { isIP, isIPv6 } from "node:net"
import { type ErrorCode, type ForwardRule, SidecarError } from "@skep/contract"
import { errnoOf, within, withResolvers } from "@skep/runtime"
import * as z from "zod"
import { GUEST } from "./command-line.ts"

const CALL_MS = 5000
const ANSWER_MAX = 1 << 20

/** A forward in its words. */
export interface Proxy {
  readonly local: string
  readonly remote: string
  readonly protocol: string
}

/** A rejection that is not of the caller's signal is a SidecarError: "unreachable" where nobody answers, "protocol" for no answer of its kind. */
export interface GvproxyApi {
  all(signal: AbortSignal): Promise<readonly Proxy[]>
  /** Codes: "address-in-use", "permission-denied", "unsupported" for what else it refuses. */
  expose(proxy: Proxy, signal: AbortSignal): Promise<void>
  /** One that is not there is no error. */
  unexpose(proxy: Pick<Proxy, "local" | "protocol">, signal: AbortSignal): Promise<void>
}

const Proxies: z.ZodType<readonly Proxy[]> = z.array(
  z.object({ local: z.string(), remote: z.string(), protocol: z.string() }),
)

export function gvproxyApi(socket: string): GvproxyApi {
  return {
    all: async (signal) => {
      const { status, text } = await ask({ socket, method: "GET", verb: "all" }, signal)
      const proxies = status === 200 ? listed(text) : undefined
      if (proxies === undefined)
        throw new SidecarError("protocol", `Cannot read gvproxy's forwards: it answered ${status} "${text}"`)
      return proxies
    },
    expose: async (proxy, signal) => {
      const { status, text } = await ask({ socket, method: "POST", verb: "expose", body: proxy }, signal)
      if (status === 200) return
      const name = `${proxy.protocol} ${proxy.local} -> ${proxy.remote}`
      throw new SidecarError(codeOf(text), `Cannot forward "${name}": gvproxy says "${text}"`)
    },
    unexpose: async (proxy, signal) => {
      const { status, text } = await ask({ socket, method: "POST", verb: "unexpose", body: proxy }, signal)
      if (status === 200 || text.includes(NOT_THERE)) return
      throw new SidecarError("protocol", `Cannot remove the forward ${proxy.local}: gvproxy says "${text}"`)
    },
  }
}

const NOT_THERE = "proxy not found"

/** Its texts end in the kernel's, as Go writes them. */
function codeOf(text: string): ErrorCode {
  if (/proxy already running|address already in use/.test(text)) return "address-in-use"
  if (/permission denied|cannot assign requested address/.test(text)) return "permission-denied"
  return "unsupported"
}

/** Nothing is `null`, as Go writes it. */
function listed(text: string): readonly Proxy[] | undefined {
  try {
    const parsed = Proxies.nullable().safeParse(JSON.parse(text))
    return parsed.success ? (parsed.data ?? []) : undefined
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

interface Question {
  readonly socket: string
  readonly method: "GET" | "POST"
  readonly verb: "all" | "expose" | "unexpose"
  readonly body?: unknown
}

async function ask(
  { socket, method, verb, body }: Question,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly text: string }> {
  const path = `/services/forwarder/${verb}`
  try {
    const asking = request({
      socketPath: socket,
      method,
      path,
      agent: false,
      signal: within(CALL_MS, signal),
    })
    asking.end(body === undefined ? undefined : JSON.stringify(body))
    const answered = withResolvers<IncomingMessage>()
    asking.once("response", answered.resolve)
    asking.on("error", answered.reject)
    const answer = await answered.promise
    const chunks: Buffer[] = []
    let bytes = 0
    for await (const chunk of answer as AsyncIterable<Buffer>) {
      bytes += chunk.length
      if (bytes > ANSWER_MAX)
        throw new SidecarError("protocol", `Cannot read gvproxy's answer to "${verb}": it has no end`)
      chunks.push(chunk)
    }
    return { status: answer.statusCode ?? 0, text: Buffer.concat(chunks).toString().trim() }
  } catch (cause) {
    signal.throwIfAborted()
    if (cause instanceof SidecarError) throw cause
    const reason = errnoOf(cause) ?? String(cause)
    throw new SidecarError("unreachable", `Cannot ask gvproxy at "${socket}": ${reason}`, { cause })
  }
}

/** A rule in gvproxy's words. Throws "unsupported" for one that leads elsewhere than to the guest's address. */
export function proxyOf(rule: ForwardRule): Proxy {
  const { transport, hostAddress, hostPort, guestAddress = GUEST.address, guestPort } = rule
  if (guestAddress !== GUEST.address)
    throw new SidecarError(
      "unsupported",
      `Cannot forward to ${guestAddress}: gvproxy leads to the address of the guest, ${GUEST.address}`,
      { next: "Publish the port without an address: then the guest listens on all of its own" },
    )
  const host = isIPv6(hostAddress) ? `[${hostAddress}]` : hostAddress
  return { local: `${host}:${hostPort}`, remote: `${guestAddress}:${guestPort}`, protocol: transport }
}

/** undefined for what is no rule: a forward of a Unix socket, or one to an address that is not the guest's. */
export function ruleOf({ local, remote, protocol }: Proxy): ForwardRule | undefined {
  if (protocol !== "tcp" && protocol !== "udp") return undefined
  const [host, guest] = [endOf(local), endOf(remote)]
  if (host === undefined || guest?.address !== GUEST.address) return undefined
  const hostAddress = host.address === "" ? "0.0.0.0" : host.address
  return { transport: protocol, hostAddress, hostPort: host.port, guestPort: guest.port }
}

function endOf(text: string): { readonly address: string; readonly port: number } | undefined {
  const [, six, four, port] = /^(?:\[([^\]]*)\]|([^:]*)):(\d{1,5})$/.exec(text) ?? []
  const address = six ?? four ?? ""
  if (port === undefined || (address !== "" && isIP(address) === 0)) return undefined
  return { address, port: Number(port) }
}
