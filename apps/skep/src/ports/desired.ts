/**
 * Which forwards the containers want. Pure.
 *
 *   published as          dockerd listens on, in the guest     forward
 *   -p 8080:80            0.0.0.0:8080                         bindDefault:8080 -> guest:8080
 *   -p 0.0.0.0:8080:80    0.0.0.0:8080                         0.0.0.0:8080     -> guest:8080
 *   -p 127.0.0.1:8080:80  127.0.0.1:8080                       127.0.0.1:8080   -> guest, to its 127.0.0.1:8080
 *   -p [::]:8080:80       [::]:8080                            [::]:8080        -> guest:8080
 *   -p ADDRESS:8080:80    ADDRESS:8080                         ADDRESS:8080     -> guest, to its ADDRESS:8080
 *
 * NetworkSettings.Ports is what dockerd did, with every range and every random port resolved; HostConfig.PortBindings is
 * what was asked for, and tells "any address" left out from "any address" written out.
 *
 * @module
 */
import type { ForwardRule, Transport } from "@skep/contract"
import type { Binding, Inspection } from "./inspection.ts"

export interface DesiredForward {
  readonly rule: ForwardRule
  readonly container: ContainerName
}

export interface ContainerName {
  readonly id: string
  readonly name: string
}

/** A published port that no network of ours can forward, such as one of SCTP. */
export interface Unforwardable {
  readonly container: ContainerName
  /** As Docker writes it: `132/sctp`. */
  readonly port: string
  readonly hostPort: number
}

export interface Desired {
  readonly forwards: readonly DesiredForward[]
  readonly unforwardable: readonly Unforwardable[]
}

export interface Changes {
  /** To be removed before anything is added, as a rule that changed uses its listener again. */
  readonly remove: readonly ForwardRule[]
  readonly add: readonly ForwardRule[]
}

const ANY = "0.0.0.0"
const ANY_6 = "::"
const PORT_MAX = 65_535

/** What one container wants. Nothing unless it runs; a paused one does. */
export function wishesOf(container: Inspection, bindDefault: string): Desired {
  const forwards: DesiredForward[] = []
  const unforwardable: Unforwardable[] = []
  const owner = { id: container.Id, name: container.Name.replace(/^\//, "") }
  if (!container.State.Running) return { forwards, unforwardable }
  const asked = container.HostConfig.PortBindings ?? {}
  for (const [port, bindings] of Object.entries(container.NetworkSettings.Ports ?? {})) {
    const transport = transportOf(port)
    for (const binding of bindings ?? []) {
      const hostPort = Number(binding.HostPort)
      if (!Number.isInteger(hostPort) || hostPort < 1 || hostPort > PORT_MAX) continue
      if (transport === undefined) {
        unforwardable.push({ container: owner, port, hostPort })
        continue
      }
      const address = hostAddress(binding, bindings ?? [], asked[port] ?? [], bindDefault)
      if (address !== undefined)
        forwards.push({ rule: ruleOf(transport, address, binding, hostPort), container: owner })
    }
  }
  return { forwards: firstOfEach(forwards), unforwardable }
}

/** Joins what several containers want, in their order; of two that want one listener the first has it. */
export function merge(wishes: readonly Desired[]): Desired {
  return {
    forwards: firstOfEach(wishes.flatMap(({ forwards }) => forwards)),
    unforwardable: wishes.flatMap(({ unforwardable }) => unforwardable),
  }
}

/** What leads from `current` to `desired`. */
export function diff(current: readonly ForwardRule[], desired: readonly ForwardRule[]): Changes {
  const wanted = new Set(desired.map(ruleKey))
  const there = new Set(current.map(ruleKey))
  return {
    remove: current.filter((rule) => !wanted.has(ruleKey(rule))),
    add: desired.filter((rule) => !there.has(ruleKey(rule))),
  }
}

/** Equal for equal rules. */
export function ruleKey(rule: ForwardRule): string {
  return `${listenerKey(rule)}>${rule.guestAddress ?? ""}:${rule.guestPort}`
}

/** Equal for rules that cannot be in place at once. */
export function listenerKey(rule: ForwardRule): string {
  return `${rule.transport}/${rule.hostAddress}/${rule.hostPort}`
}

function transportOf(port: string): Transport | undefined {
  const transport = port.split("/")[1] ?? "tcp"
  return transport === "tcp" || transport === "udp" ? transport : undefined
}

/** Where to listen on the host, or undefined if another binding says the same. */
function hostAddress(
  binding: Binding,
  done: readonly Binding[],
  asked: readonly Binding[],
  bindDefault: string,
): string | undefined {
  const address = binding.HostIp
  if (address !== "" && address !== ANY && address !== ANY_6) return address
  if (
    asked.some(
      ({ HostIp, HostPort }) => HostIp === address && HostIp !== "" && includes(HostPort, binding.HostPort),
    )
  ) {
    return address
  }
  // No address was named. dockerd then does IPv4 and IPv6 alike, and says so in two lines.
  const isTwin = address === ANY_6 && done.some(({ HostIp }) => HostIp === ANY)
  return isTwin ? undefined : bindDefault
}

/** True if the port asked for, which may be a range or none, may have become `port`. */
function includes(asked: string, port: string): boolean {
  if (asked === "" || asked === "0") return true
  const [first, last] = asked.split("-").map(Number)
  return first !== undefined && Number(port) >= first && Number(port) <= (last ?? first)
}

function ruleOf(transport: Transport, address: string, binding: Binding, port: number): ForwardRule {
  const { HostIp } = binding
  const isAny = HostIp === "" || HostIp === ANY || HostIp === ANY_6
  const rule = { transport, hostAddress: address, hostPort: port, guestPort: port }
  // dockerd listens on that address of the guest and on no other.
  return isAny ? rule : { ...rule, guestAddress: HostIp }
}

function firstOfEach(forwards: readonly DesiredForward[]): readonly DesiredForward[] {
  const first = new Map<string, DesiredForward>()
  for (const forward of forwards) {
    const key = listenerKey(forward.rule)
    if (!first.has(key)) first.set(key, forward)
  }
  return [...first.values()]
}
