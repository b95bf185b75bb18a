/**
 * Whether a flow may leave the network, and where it leads: compiled from a `PolicySpec`, asked once for each new flow.
 *
 * ```
 *  destination                                     nothing    loopback   open
 *  gateway, host                                   policy     host       host       but "closed-port" for closed ports
 *  the rest of the network's own                   own-network: machines reach each other by the switch, never through us
 *  ::ffff:0:0/96, ::/96                            embedded: an IPv4 address that would pass the IPv4 rules by
 *  0.0.0.0/8, ::                                   unspecified: to Linux that is its loopback
 *  127.0.0.0/8, ::1                                loopback: the host's, which is reached by the host's address only
 *  169.254.0.0/16, fe80::/10                       link-local: of the host's links, with the metadata services of clouds on them
 *  224.0.0.0/4, ff00::/8                           multicast
 *  the subnet's last, 255.255.255.255              broadcast
 *  240.0.0.0/4                                     reserved
 *  all else                                        policy     policy     out
 * ```
 *
 * What the gateway serves itself (DHCP, DNS, its own echo) is no flow that leaves, and is not asked about.
 *
 * @module
 */
import * as address from "@skep/wire/address"
import type { NetworkPlan } from "../addressing/plan.ts"
import { addressIn, parseSubnet } from "../addressing/subnet.ts"
import type { PolicyMode, PolicySpec, PortRange } from "./policy-spec.ts"

export const REFUSALS = [
  "policy",
  "closed-port",
  "own-network",
  "embedded",
  "unspecified",
  "loopback",
  "link-local",
  "multicast",
  "broadcast",
  "reserved",
  "protocol",
] as const

/** Why not. Also the name of the counter. */
export type Refusal = (typeof REFUSALS)[number]

/** "out": to that very address. "host": to the host's loopback, `LOOPBACK4` or `LOOPBACK6` by the family of the flow. */
export type Verdict = "out" | "host" | Refusal

/** Where "host" leads. */
export const LOOPBACK4: Uint8Array = Uint8Array.of(127, 0, 0, 1)
export const LOOPBACK6: Uint8Array = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)

/** IP protocol numbers of what can leave at all. */
export const ICMP = 1
export const TCP = 6
export const UDP = 17
export const ICMP6 = 58

/** The rules of one family. */
export interface PolicyTable {
  /** The first that has the address decides. */
  readonly rules: readonly Rule[]
  /** For what no rule has. */
  readonly otherwise: Verdict
  /** Whether "host" stays that. */
  readonly mayReachHost: boolean
  /** A bit for each port of the host's loopback that is closed. */
  readonly closed: Uint8Array | undefined
}

export interface Policy {
  readonly spec: PolicySpec
  readonly four: PolicyTable
  readonly six: PolicyTable
}

interface Rule {
  readonly subnet: address.Prefix
  readonly verdict: Verdict
}

const PORTS = 65_536

const FIXED_4: readonly (readonly [subnet: string, refusal: Refusal])[] = [
  ["255.255.255.255/32", "broadcast"],
  ["0.0.0.0/8", "unspecified"],
  ["127.0.0.0/8", "loopback"],
  ["169.254.0.0/16", "link-local"],
  ["224.0.0.0/4", "multicast"],
  ["240.0.0.0/4", "reserved"],
]
const FIXED_6: readonly (readonly [subnet: string, refusal: Refusal])[] = [
  ["::/128", "unspecified"],
  ["::1/128", "loopback"],
  ["::/96", "embedded"],
  ["::ffff:0:0/96", "embedded"],
  ["fe80::/10", "link-local"],
  ["ff00::/8", "multicast"],
]

/** Throws where the plan has no addresses, which is a bug of ours. */
export function compilePolicy(spec: PolicySpec, plan: NetworkPlan): Policy {
  const shared = {
    otherwise: otherwiseOf(spec.mode),
    mayReachHost: spec.mode !== "nothing",
    closed: spec.closedPorts.length === 0 ? undefined : bitsOf(spec.closedPorts),
  }
  const subnet = subnetOf(plan.subnet)
  const subnet6 = subnetOf(plan.subnet6)
  return {
    spec,
    four: {
      rules: [
        only(plan.gateway, "host"),
        only(plan.host, "host"),
        { subnet: { address: addressIn(subnet, -1), length: 32 }, verdict: "broadcast" },
        { subnet, verdict: "own-network" },
        ...FIXED_4.map(([text, verdict]) => ({ subnet: subnetOf(text), verdict })),
      ],
      ...shared,
    },
    six: {
      rules: [
        only(plan.gateway6, "host"),
        only(plan.host6, "host"),
        { subnet: subnet6, verdict: "own-network" },
        ...FIXED_6.map(([text, verdict]) => ({ subnet: subnetOf(text), verdict })),
      ],
      ...shared,
    },
  }
}

/**
 * Decides on a flow to the address at `at` of `bytes`, which is of the family of the table. `protocol` is that of the IP header; `port` is 0 where
 * it has none. Allocates nothing.
 */
export function decide(
  table: PolicyTable,
  protocol: number,
  bytes: Uint8Array,
  at: number,
  port: number,
): Verdict {
  if (protocol !== TCP && protocol !== UDP && protocol !== ICMP && protocol !== ICMP6) return "protocol"
  const { rules } = table
  for (let index = 0; index < rules.length; index++) {
    const rule = rules[index]
    if (rule === undefined || !address.contains(rule.subnet, bytes, at, rule.subnet.address.length)) continue
    return rule.verdict === "host" ? decideOnHost(table, protocol, port) : rule.verdict
  }
  return table.otherwise
}

function decideOnHost({ mayReachHost, closed }: PolicyTable, protocol: number, port: number): Verdict {
  if (!mayReachHost) return "policy"
  if (closed === undefined || (protocol !== TCP && protocol !== UDP)) return "host"
  return ((closed[port >> 3] ?? 0) & (1 << (port & 7))) === 0 ? "host" : "closed-port"
}

function otherwiseOf(mode: PolicyMode): Verdict {
  return mode === "open" ? "out" : "policy"
}

function bitsOf(ranges: readonly PortRange[]): Uint8Array {
  const bits = new Uint8Array(PORTS / 8)
  for (const [first, last] of ranges) {
    for (let port = first; port <= last; port++) bits[port >> 3] = (bits[port >> 3] ?? 0) | (1 << (port & 7))
  }
  return bits
}

function only(text: string, verdict: Verdict): Rule {
  const bytes = address.parse(text)
  if (typeof bytes === "string") throw new Error(`the plan has no address: ${text}`)
  return { subnet: { address: bytes, length: bytes.length * 8 }, verdict }
}

function subnetOf(text: string): address.Prefix {
  const subnet = parseSubnet(text)
  if (subnet === undefined) throw new Error(`the plan has no subnet: ${text}`)
  return subnet
}
