/**
 * The options of the adapter: where QEMU's stream connects, the network that the guest is given, what it may reach.
 *
 * @module
 */
import { type ForwardRule, SidecarError } from "@skep/contract"
import { checkSocketPath, parseForwardRule } from "@skep/runtime"
import * as z from "zod"

/** "loopback": of all addresses the guest reaches the host's own, and nothing that is not the host. "open": what the host reaches. */
export type PasstPolicy = "loopback" | "open"

export interface PasstOptions {
  /** Where passt listens for QEMU's `-netdev stream`. */
  readonly socket: string
  readonly policy: PasstPolicy
  /** The guest's address, its network, and the gateway, which leads to the host's loopback. */
  readonly address: string
  readonly prefix: number
  readonly gateway: string
  /** The guest's MAC address: without it, a guest that has sent nothing yet is reached by no TCP forward. */
  readonly mac?: string
  readonly mtu: number
  /** In place from the start, and for as long as it runs. */
  readonly forwards: readonly ForwardRule[]
  /** A name to be found in PATH, or a path. */
  readonly program: string
  /** It ends by itself when no machine has been there for so long; 0 for never. */
  readonly lonelyMs: number
}

/** IPv6's smallest, and the largest that passt takes. */
const MTU = { least: 1280, most: 65_520 }
const PREFIX = { least: 8, most: 30 }

const Options: z.ZodType<PasstOptions> = z
  .strictObject({
    socket: z.string().regex(/^\/[^\n\0]*$/, "must be an absolute path"),
    policy: z.enum(["loopback", "open"]).default("open"),
    address: z.ipv4().default("192.168.64.2"),
    prefix: z.int().min(PREFIX.least).max(PREFIX.most).default(24),
    gateway: z.ipv4().default("192.168.64.1"),
    mac: z
      .string()
      .regex(/^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/, "must be a unicast address such as 52:54:00:12:34:56")
      .exactOptional(),
    mtu: z.int().min(MTU.least).max(MTU.most).default(MTU.most),
    forwards: z
      .array(z.unknown().transform((rule) => parseForwardRule(rule)))
      .max(1024)
      .default([]),
    program: z.string().min(1).default("passt"),
    lonelyMs: z.int().min(0).max(600_000).default(0),
  })
  .refine(({ address, gateway }) => address !== gateway, "the guest and the gateway need an address each")

/** Checks options from outside. Throws "bad-options" and "path-too-long". */
export function parsePasstOptions(input: unknown): PasstOptions {
  const parsed = Options.safeParse(input)
  if (!parsed.success)
    throw new SidecarError(
      "bad-options",
      `Cannot read the options of passt: ${z.prettifyError(parsed.error).replaceAll("\n", " ")}`,
      { cause: parsed.error },
    )
  checkSocketPath(`${parsed.data.socket}.control`) // the longest
  return parsed.data
}
