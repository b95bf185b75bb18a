/**
 * What makes two forwards the same, and what makes them stand in each other's way.
 *
 * @module
 */
import type { ForwardRule } from "@skep/contract"
import { formatEndpoint } from "../addressing/address.ts"

const ANY_4 = "0.0.0.0"
const ANY_6 = "::"

/** Equal for equal rules, whoever owns them: `tcp 127.0.0.1:8080 -> web:80`. Addresses are canonical. */
export function ruleName(rule: ForwardRule): string {
  const { machine, guestAddress, guestPort } = rule
  const guest =
    guestAddress === undefined
      ? `${machine ?? "guest"}:${guestPort}`
      : `${machine === undefined ? "" : `${machine}/`}${formatEndpoint(guestAddress, guestPort)}`
  return `${listenerName(rule)} -> ${guest}`
}

/** The side of the host: `tcp 127.0.0.1:8080`. */
export function listenerName({ transport, hostAddress, hostPort }: ForwardRule): string {
  return `${transport} ${formatEndpoint(hostAddress, hostPort)}`
}

/** Whether the kernel lets only one of them listen. A listener of `::` is one of IPv6 alone. */
export function excludeEachOther(one: ForwardRule, other: ForwardRule): boolean {
  if (one.transport !== other.transport || one.hostPort !== other.hostPort) return false
  if (one.hostAddress === other.hostAddress) return true
  const any = one.hostAddress.includes(":") ? ANY_6 : ANY_4
  if (one.hostAddress.includes(":") !== other.hostAddress.includes(":")) return false
  return one.hostAddress === any || other.hostAddress === any
}
