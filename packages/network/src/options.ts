/**
 * The options of the network sidecar.
 *
 * @module
 */
import { join } from "node:path"
import type { ForwardRule } from "@skep/contract"
import { parseForwardRule } from "@skep/runtime"
import * as address from "@skep/wire/address"
import * as z from "zod"
import { makePlan, type NetworkPlan } from "./addressing/plan.ts"
import { parseSubnet } from "./addressing/subnet.ts"
import { badOptions, parsed } from "./bad-options.ts"
import { absolutePath, checkLink, ipAddress, LinkSchema, mac, machineName, mtu } from "./links/link-schema.ts"
import { type LinkSpec, socketOf } from "./links/link-spec.ts"
import { DnsSchema } from "./names/dns-options.ts"
import type { DnsOptions } from "./names/name-service.ts"
import { PolicySchema } from "./policy/policy-schema.ts"
import type { PolicySpec } from "./policy/policy-spec.ts"
import { checkSocket } from "./refused-path.ts"
import {
  type CaptureSpec,
  FORWARDS_MAX,
  type Limits,
  MACHINES_MAX,
  type Reservation,
} from "./thread/calls.ts"
import { optionsOfWords } from "./words.ts"

/** What moves the bytes: system calls in a loop of our own, or Node's sockets. */
export type Driver = "loop" | "node"

export interface NetworkOptions {
  /** The network's own directory, 0700: `control.sock`, `dns.sock`, and what is not placed elsewhere. */
  readonly directory: string
  readonly name: string
  /** What IPv6 addresses and the gateway's MAC address are derived from; that of the host, the user and the name unless told. */
  readonly identity?: string
  /** `192.168.64.0/24`, or "auto" for the first that the host has no route to. */
  readonly subnet: string
  /** A /64. Derived from the identity unless told. */
  readonly subnet6?: string
  readonly mtu: number
  readonly domain: string
  readonly links: readonly LinkSpec[]
  readonly reservations: readonly Reservation[]
  readonly policy: PolicySpec
  readonly forwards: readonly ForwardRule[]
  readonly dns: DnsOptions
  readonly leaseFile: string
  /** For gvproxy's verbs. */
  readonly portSocket: string
  /** The fastest that there is here, unless told. */
  readonly driver?: Driver
  /** Of all machines, from the start on. */
  readonly capture?: CaptureSpec
  /** Ends the sidecar when no machine was connected for so long, from the end of its start or the last hang-up on. 0 is never. */
  readonly lonelyMs: number
  /** Microseconds for which the driver "loop" asks for more before its thread sleeps, while that is worth it; 0 for never. The other one has no use for it. */
  readonly busyPollUs: number
  readonly limits: Limits
}

export const AUTO_SUBNET = "auto"

const DEFAULT_SUBNET = "192.168.64.0/24"
const DEFAULT_MTU = 1500
const DEFAULT_DOMAIN = "skep.internal"
const DEFAULT_LIMITS: Limits = { maxFlows: 16_384, maxFlowsPerMachine: 8192, maxHeldBytes: 64 << 20 }
const DEFAULT_CAPTURE_BYTES = 256 << 20
const SNAP_LENGTH_MAX = 1 << 18
const DAY_MS = 86_400_000

/** From 65,534 addresses to two. */
const BITS_MIN = 16
const BITS_MAX = 30
const BITS_6 = 64
/** Blocks that are something else to every host. */
const NO_SUBNETS = ["0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/3"]
const NO_SUBNETS_6 = ["::/8", "fe80::/10", "ff00::/8"]

const Reserved: z.ZodType<Reservation> = z
  .strictObject({
    machine: machineName.exactOptional(),
    mac: mac.exactOptional(),
    clientId: z
      .string()
      .regex(/^([0-9a-f]{2}){2,255}$/, "is not hexadecimal")
      .exactOptional(),
    address: ipAddress,
  })
  .refine(
    (entry) => [entry.machine, entry.mac, entry.clientId].filter((key) => key !== undefined).length === 1,
    "needs one of machine, mac and clientId",
  )

/** A capture as it is asked for. */
export const CaptureSchema: z.ZodType<CaptureSpec> = z.strictObject({
  machine: machineName.exactOptional(),
  path: absolutePath,
  maxBytes: z
    .int()
    .min(4096)
    .max(2 ** 40)
    .default(DEFAULT_CAPTURE_BYTES),
  snapLength: z.int().min(64).max(SNAP_LENGTH_MAX).default(SNAP_LENGTH_MAX),
})

const LimitsSchema: z.ZodType<Limits> = z.strictObject({
  maxFlows: z.int().min(16).max(1_000_000).default(DEFAULT_LIMITS.maxFlows),
  maxFlowsPerMachine: z.int().min(16).max(1_000_000).default(DEFAULT_LIMITS.maxFlowsPerMachine),
  maxHeldBytes: z
    .int()
    .min(1 << 20)
    .max(2 ** 34)
    .default(DEFAULT_LIMITS.maxHeldBytes),
})

const Options = z.strictObject({
  directory: absolutePath,
  name: machineName.default("default"),
  identity: z.string().min(1).max(256).exactOptional(),
  subnet: z.string().default(DEFAULT_SUBNET),
  subnet6: z.string().exactOptional(),
  mtu: mtu.default(DEFAULT_MTU),
  domain: z
    .string()
    .regex(/^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/, "is no domain")
    .max(200)
    .default(DEFAULT_DOMAIN),
  links: z.array(LinkSchema).max(MACHINES_MAX).default([]),
  reservations: z.array(Reserved).max(65_536).default([]),
  policy: PolicySchema.prefault("open"),
  forwards: z.array(z.unknown()).max(FORWARDS_MAX).default([]),
  dns: DnsSchema.prefault({}),
  leaseFile: absolutePath.exactOptional(),
  portSocket: absolutePath.exactOptional(),
  driver: z.enum(["loop", "node"]).exactOptional(),
  capture: CaptureSchema.exactOptional(),
  lonelyMs: z.int().min(0).max(DAY_MS).default(0),
  // A guest and a server of this host answer each other within that time, and a core takes nearly half of it to wake.
  busyPollUs: z.int().min(0).max(1000).default(100),
  limits: LimitsSchema.prefault({}),
})

/**
 * Checks options from outside, with the words of a command line among them (`words.ts`). Throws "bad-options" with one sentence that names the
 * field and its value, and "path-too-long" for sockets that could not be bound.
 */
export function parseNetworkOptions(input: unknown): NetworkOptions {
  const { forwards, leaseFile, portSocket, ...rest } = parsed(Options, optionsOfWords(input), "options")
  const options: NetworkOptions = {
    ...rest,
    forwards: forwards.map(parseForwardRule),
    leaseFile: leaseFile ?? join(rest.directory, "leases.json"),
    portSocket: portSocket ?? join(rest.directory, "port.sock"),
  }
  for (const link of options.links) checkLink(link)
  for (const path of [controlSocketOf(options), dnsSocketOf(options), options.portSocket]) checkSocket(path)
  refuseTwice(
    "machines",
    options.links.map(({ machine }) => machine),
  )
  refuseTwice("paths", [...ownPaths(options), controlSocketOf(options), dnsSocketOf(options)])
  checkSubnets(options)
  return options
}

/** Where its control socket is. */
export function controlSocketOf({ directory }: Pick<NetworkOptions, "directory">): string {
  return join(directory, "control.sock")
}

/** Where DNS over TCP goes: from the loop thread, on behalf of guests. */
export function dnsSocketOf({ directory }: Pick<NetworkOptions, "directory">): string {
  return join(directory, "dns.sock")
}

/** Every socket that others may connect to, beside the control socket; interfaces have none. */
export function ownPaths({ links, portSocket }: NetworkOptions): readonly string[] {
  return [...links.flatMap((link) => socketOf(link) ?? []), portSocket]
}

/** The addresses for a subnet that is settled. Throws "bad-options" where a kept address is not to be had on it. */
export function planOf(options: NetworkOptions, subnet: address.Prefix, identity: string): NetworkPlan {
  const subnet6 = options.subnet6 === undefined ? undefined : parseSubnet(options.subnet6)
  const plan = makePlan({
    subnet,
    ...(subnet6 === undefined ? {} : { subnet6 }),
    identity,
    mtu: options.mtu,
    domain: options.domain,
  })
  for (const kept of options.reservations) checkAddress(kept.address, plan, subnet)
  return plan
}

function checkSubnets(options: NetworkOptions): void {
  const subnet6 = options.subnet6 === undefined ? undefined : parseSubnet(options.subnet6)
  if (options.subnet6 !== undefined) {
    const fits = subnet6?.length === BITS_6 && subnet6.address.length === 16
    if (!fits) throw badOptions(`"subnet6" of the options: it is '${options.subnet6}': is no /64 of IPv6`)
    refuseSpecial("subnet6", options.subnet6, NO_SUBNETS_6)
  }
  if (options.subnet === AUTO_SUBNET) return
  const subnet = parseSubnet(options.subnet)
  if (subnet === undefined || subnet.address.length !== 4) {
    throw badOptions(
      `"subnet" of the options: it is '${options.subnet}': is no block such as 192.168.64.0/24`,
    )
  }
  if (subnet.length < BITS_MIN || subnet.length > BITS_MAX) {
    throw badOptions(
      `"subnet" of the options: it is '${options.subnet}': is not from /${BITS_MIN} to /${BITS_MAX}`,
    )
  }
  refuseSpecial("subnet", options.subnet, NO_SUBNETS)
  planOf(options, subnet, "")
}

function refuseSpecial(field: string, text: string, blocks: readonly string[]): void {
  const subnet = parseSubnet(text)
  const block = blocks.find((candidate) => {
    const special = parseSubnet(candidate)
    return special !== undefined && subnet !== undefined && address.overlaps(special, subnet)
  })
  if (block !== undefined)
    throw badOptions(`"${field}" of the options: it is '${text}': ${block} is no network's`)
}

function checkAddress(text: string, plan: NetworkPlan, subnet: address.Prefix): void {
  const bytes = address.parse(text)
  const within = typeof bytes !== "string" && address.contains(subnet, bytes)
  if (!within) throw badOptions(`the address "${text}": it is not in ${plan.subnet}`)
  if (text === plan.gateway || text === plan.host) {
    throw badOptions(`the address "${text}": it is the gateway's or the host's own`)
  }
}

function refuseTwice(what: string, values: readonly string[]): void {
  const twice = values.find((value, index) => values.indexOf(value) !== index)
  if (twice !== undefined) throw badOptions(`the ${what} of the options: "${twice}" is there twice`)
}
