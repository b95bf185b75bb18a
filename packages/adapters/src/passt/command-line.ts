/**
 * passt's command line. Pure.
 *
 * Tried with Debian 12's passt (2023-03-09). Its own sandbox is left as it is: no file system, no new privileges, a filter of system calls.
 *
 * @module
 */
import { isIPv4 } from "node:net"
import { type ForwardRule, SidecarError } from "@skep/contract"
import { forwardName } from "@skep/runtime"
import type { PasstOptions } from "./options.ts"

/** Of the gateway, locally administered: without one passt shows the guest the host's own. */
const GATEWAY_MAC = "02:00:00:00:00:01"

export interface PasstPlan {
  readonly options: PasstOptions
  /** Where it makes its socket. */
  readonly bound: string
  /** Without one it tells nobody of what happens after its start, where the host has no syslog. */
  readonly logFile: string
  readonly forwards: readonly ForwardRule[]
  /** Whoever starts it; root's passt would become nobody, who may not make the socket. */
  readonly user: { readonly uid: number; readonly gid: number }
}

/** Throws "unsupported" for a forward that passt cannot do. */
export function passtArguments({ options, bound, logFile, forwards, user }: PasstPlan): readonly string[] {
  const { address, prefix, gateway, mtu } = options
  return [
    ["--foreground", "--log-file", logFile, "--socket", bound],
    user.uid === 0 ? ["--runas", `${user.uid}:${user.gid}`] : [],
    ["--ipv4-only", "--address", address, "--netmask", String(prefix), "--gateway", gateway],
    ["--mac-addr", GATEWAY_MAC, "--mtu", String(mtu)],
    policyArguments(options),
    ...forwards.map((rule) => forwardArguments(rule, options.address)),
  ].flat()
}

/**
 * Whoever sends from 127.0.0.1 gets only as far as the host: to any other address the kernel refuses to send, with EINVAL, as long as
 * `route_localnet` is off (Documentation/networking/ip-sysctl.rst). The template interface is the loopback's, so that no default route is needed. Echo
 * requests would go out by another kind of socket; names would be asked of the host's resolver.
 */
function policyArguments({ policy }: PasstOptions): readonly string[] {
  if (policy === "open") return []
  return ["--interface", "lo", "--outbound", "127.0.0.1", "--no-icmp", "--dns", "none", "--search", "none"]
}

function forwardArguments(rule: ForwardRule, guest: string): readonly string[] {
  checkForward(rule, guest)
  const spec = `${rule.hostAddress}/${rule.hostPort}:${rule.guestPort}`
  return [rule.transport === "tcp" ? "--tcp-ports" : "--udp-ports", spec]
}

/** Throws "unsupported" for a forward that passt cannot do. */
export function checkForward(rule: ForwardRule, guest: string): void {
  if (!isIPv4(rule.hostAddress))
    throw new SidecarError(
      "unsupported",
      `Cannot forward "${forwardName(rule)}": this network forwards IPv4 only`,
      { next: "Publish the port on an IPv4 address, such as 127.0.0.1" },
    )
  if (rule.guestAddress !== undefined && rule.guestAddress !== guest)
    throw new SidecarError(
      "unsupported",
      `Cannot forward "${forwardName(rule)}": passt leads to the address of the guest, ${guest}, and to no other`,
      { next: "Publish the port without an address: then the guest listens on all of its own" },
    )
}
