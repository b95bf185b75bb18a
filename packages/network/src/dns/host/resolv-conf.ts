/**
 * How the host resolves names: resolv.conf(5) and the `hosts` line of nsswitch.conf(5).
 *
 * @module
 */
import { isIP } from "node:net"

export interface NameServer {
  /** An IP address, with its interface where it needs one: "fe80::1%eth0". */
  readonly address: string
  readonly port: number
}

export interface ResolvConf {
  readonly servers: readonly NameServer[]
  /** Seconds that one server is given, or undefined where the file does not say. */
  readonly timeout: number | undefined
  /** Rounds over all servers. */
  readonly attempts: number
  /** TCP from the start. */
  readonly tcp: boolean
}

const PORT = 53
/** What the C library takes: MAXNS, and the bounds of its options. */
const SERVERS_MAX = 3
const TIMEOUT_MAX = 30
const ATTEMPTS_MAX = 5
const ATTEMPTS = 2

/** resolv.conf(5): without a name server the one on this machine is used. Lines that make no sense are passed over. */
export function parseResolvConf(text: string): ResolvConf {
  const servers: NameServer[] = []
  const options = new Map<string, number>()
  for (const line of text.split("\n")) {
    const [keyword, ...values] = line
      .replace(/[#;].*/, "")
      .trim()
      .split(/\s+/)
    const address = values[0] ?? ""
    if (keyword === "nameserver" && isIP(address) !== 0 && servers.length < SERVERS_MAX)
      servers.push({ address, port: PORT })
    if (keyword !== "options") continue
    for (const value of values) {
      const [name, number] = value.split(":")
      if (name !== undefined) options.set(name, Number.parseInt(number ?? "0", 10))
    }
  }
  const timeout = options.get("timeout")
  return {
    servers: servers.length === 0 ? [{ address: "127.0.0.1", port: PORT }] : servers,
    timeout: timeout === undefined || !(timeout >= 1) ? undefined : Math.min(timeout, TIMEOUT_MAX),
    attempts: Math.min(Math.max(options.get("attempts") || ATTEMPTS, 1), ATTEMPTS_MAX),
    tcp: options.has("use-vc"),
  }
}

/** Sources of host names in their order, without the actions between them. nsswitch.conf(5): "dns" and "files" where there is no line. */
export function parseNsswitch(text: string): readonly string[] {
  for (const line of text.split("\n")) {
    const match = /^\s*hosts:(.*)$/.exec(line.replace(/#.*/, ""))
    if (match === null) continue
    const sources = (match[1] ?? "").replace(/\[[^\]]*\]/g, " ").trim()
    return sources.split(/\s+/).filter((source) => source !== "")
  }
  return ["dns", "files"]
}
