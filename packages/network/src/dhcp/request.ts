/**
 * What a client wants, from what it says: RFC 2131, section 4.3.2 and table 4.
 *
 * ```
 *                 server id   requested address   ciaddr
 *   SELECTING     says whose  yes                 zero       select, or elsewhere
 *   INIT-REBOOT   none        yes                 zero       confirm
 *   RENEWING      none        none                its own    confirm; sent to us alone
 *   REBINDING     none        none                its own    confirm; sent to all
 * ```
 *
 * @module
 */
import { code, type DhcpMessage, decode } from "@skep/wire/dhcp"
import { addressOf, contains } from "./address.ts"
import type { Plan } from "./plan.ts"

export type Request =
  | { readonly kind: "discover"; readonly requested: number | undefined }
  /** It takes our offer. */
  | { readonly kind: "select"; readonly address: number }
  /** It takes another server's. */
  | { readonly kind: "elsewhere" }
  /** It had the address before, or has it still. */
  | { readonly kind: "confirm"; readonly address: number }
  | { readonly kind: "decline"; readonly address: number }
  | { readonly kind: "release"; readonly address: number }
  | { readonly kind: "inform"; readonly address: number }

/** Why a message gets no answer; also the name of its counter. */
export type Ignored =
  /** A message of BOOTP. */
  | "bootp"
  /** What a server says. */
  | "not-a-request"
  /** For another server. */
  | "other-server"
  /** It says no address where it must. */
  | "no-address"
  /** From the relay of a network that is not ours. */
  | "foreign-relay"
  /** An address of another network, in an INFORM. */
  | "foreign-address"

const NONE = 0

export function requestOf(message: DhcpMessage, { server, subnet }: Plan): Request | Ignored {
  if (message.op !== "request") return "not-a-request"
  const relay = addressOf(message.relayAddress) ?? NONE
  if (relay !== NONE && !contains(subnet, relay)) return "foreign-relay"
  const own = addressOf(message.clientAddress) ?? NONE
  if (message.type === "inform" && own !== NONE && !contains(subnet, own)) return "foreign-address"
  return wishOf(message, own, server)
}

function wishOf(message: DhcpMessage, own: number, server: number): Request | Ignored {
  const requested = optionOf(message, code.REQUESTED_ADDRESS)
  const chosen = optionOf(message, code.SERVER_IDENTIFIER)
  const foreign = chosen !== undefined && chosen !== server
  switch (message.type) {
    case undefined:
      return "bootp"
    case "discover":
      return { kind: "discover", requested }
    case "request":
      return foreign ? { kind: "elsewhere" } : requestKind(chosen, requested, own)
    case "decline":
      return foreign ? "other-server" : addressed("decline", requested ?? NONE)
    case "release":
      return foreign ? "other-server" : addressed("release", own)
    case "inform":
      return addressed("inform", own)
    case "offer":
    case "ack":
    case "nak":
      return "not-a-request"
  }
}

function addressed(kind: "decline" | "release" | "inform", address: number): Request | Ignored {
  return address === NONE ? "no-address" : { kind, address }
}

function requestKind(
  chosen: number | undefined,
  requested: number | undefined,
  own: number,
): Request | Ignored {
  // Some clients say the address they have in SELECTING and the like; what they say they want goes first, as in section 4.3.2.
  const address = requested ?? (own === NONE ? undefined : own)
  if (address === undefined) return "no-address"
  return { kind: chosen === undefined ? "confirm" : "select", address }
}

function optionOf(message: DhcpMessage, option: number): number | undefined {
  const value = message.options.get(option)
  const text = value === undefined ? undefined : decode(option, value)
  return typeof text === "string" ? addressOf(text) : undefined
}
